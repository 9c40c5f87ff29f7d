-- Forget requests that nobody repeats any more. Takes: before (timestamp).
delete from requests where time < $before::timestamp
