-- Add folded calls to the hour tier. Takes: staging table folded_calls.
insert into call_hours by name select * from folded_calls
