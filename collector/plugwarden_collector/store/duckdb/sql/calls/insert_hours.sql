-- Add folded calls to the hour tier. Takes: staging table staged_calls.
insert into call_hours by name select * from staged_calls
