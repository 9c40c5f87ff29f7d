-- How much work it is to count each commit: a row of a sidecar's is 1, another's 32 and 1 for each of its buckets. Takes: after,
-- until (ubigint). Gives: batch, work.
select batch, sum(work)::bigint as work from (
    select batch, 1 as work from span_rows where batch > $after::ubigint and batch <= $until::ubigint
    union all
    select batch, if(kind = 'exponential_histogram' and temporality = 1 and scale = contract.scale and zero_count = 0 and unit in ('', 's')
        and coalesce(len(bucket_index), 0) <= contract.places, 1, 32 + coalesce(len(bucket_count), 0))
    from point_rows where batch > $after::ubigint and batch <= $until::ubigint
) group by batch order by batch
