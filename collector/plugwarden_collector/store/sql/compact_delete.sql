-- The second half of a compaction, in the same transaction. Takes: before (timestamp).
delete from call_seconds where bucket_start < $before::timestamp
