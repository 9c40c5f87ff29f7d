-- Forget rows of changes beyond their age. Takes: before (timestamp).
delete from changes where time < $before::timestamp
