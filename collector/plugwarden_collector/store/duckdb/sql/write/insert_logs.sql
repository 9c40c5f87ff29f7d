-- Store logs. Takes: staging table incoming_logs, batch (ubigint).
insert into log_rows by name select $batch::ubigint as batch, * from incoming_logs
