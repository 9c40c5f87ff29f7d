-- Attempts to tell somebody from before a moment. Takes: before (timestamp).
select * from notifications where time < $before::timestamp
