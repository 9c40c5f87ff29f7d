-- Forget rows of notifications beyond their age. Takes: before (timestamp).
delete from notifications where time < $before::timestamp
