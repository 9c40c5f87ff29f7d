-- Add folded calls to the minute tier. Takes: staging table staged_calls.
insert into call_minutes by name select * from staged_calls
