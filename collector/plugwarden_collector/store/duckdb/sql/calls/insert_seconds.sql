-- Add calls to the second tier. Takes: staging table staged_calls.
insert into call_seconds by name from staged_calls
