-- Add folded calls to the minute tier. Takes: staging table folded_calls.
insert into call_minutes by name select * from folded_calls
