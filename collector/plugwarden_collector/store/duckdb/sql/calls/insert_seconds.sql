-- Add calls to the second tier. Takes: batch (ubigint: the commit up to which raw rows are counted with them), staging table
-- staged_calls.
insert into call_seconds by name select *, $batch::ubigint as batch from staged_calls
