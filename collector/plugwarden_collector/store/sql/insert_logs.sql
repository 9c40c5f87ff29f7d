-- Store log records. Takes: staging table incoming_logs.
insert into log_rows by name select * from incoming_logs
