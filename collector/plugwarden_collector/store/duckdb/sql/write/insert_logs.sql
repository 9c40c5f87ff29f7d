-- Store logs. Takes: staging table incoming_logs, batch (ubigint).
insert into log_rows by name select $batch::ubigint as batch, row_number() over () as place, * from incoming_logs
