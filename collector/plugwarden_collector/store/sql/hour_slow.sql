-- Calls of whole hours that were slower than a threshold, per plugin version. Takes: first, before (timestamp), fast (integer: the
-- last histogram bucket that is still fast). Gives: bucket_start, plugin_id, plugin_version, total, bad.
-- Counts are far below 2^53, so that a double holds them, and the inner product of lists takes a third of a sum over pairs.
select
    bucket_start, plugin_id, plugin_version, coalesce(sum(calls), 0)::bigint as total,
    coalesce(sum(list_inner_product(bucket_count::double[], list_transform(bucket_index, lambda i: (i > $fast::integer)::double))), 0)
        ::bigint as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and outcome in ('success', 'error', 'timeout')
group by all
