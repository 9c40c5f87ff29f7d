-- The number of the newest commit. Gives: batch.
select greatest(
    (select coalesce(max(batch), 0) from span_rows), (select coalesce(max(batch), 0) from log_rows),
    (select coalesce(max(batch), 0) from point_rows), (select batch from progress where name = 'rolled'),
    (select coalesce(max(last_batch), 0) from trace_blocks)
) as batch
