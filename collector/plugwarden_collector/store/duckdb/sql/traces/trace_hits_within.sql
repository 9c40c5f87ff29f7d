-- Like trace_hits, within some runs of batches: what the index of texts says may match. Takes: the same, and first, last
-- (bigint[], one entry a run), in_name, in_error_type, in_status_message (boolean: it may be in that). Gives: trace_hi, trace_lo, started_at of each span.
-- A join, because DuckDB then passes over the row groups that hold none of the batches.
with spans as not materialized (
    select trace_hi, trace_lo, started_at, name, error_type, status_message
    from span_rows
    where batch in (
            select unnest(range(first, last + 1))::ubigint
            from (select unnest($first::bigint[]) as first, unnest($last::bigint[]) as last))
      and started_at > $since::timestamp and started_at <= $until::timestamp
      and ($plugin is null or plugin_id = $plugin) and ($version is null or plugin_version = $version)
      and ($operation is null or plugin_operation = $operation) and ($outcome is null or outcome = $outcome)
      and ($min_seconds is null or duration_ns >= $min_seconds * 1e9)
      and ($max_seconds is null or duration_ns <= $max_seconds * 1e9)
),
matching as materialized (
    select trace_hi, trace_lo, started_at from spans where $in_name and contains(lower(name), lower($text))
    union all
    select trace_hi, trace_lo, started_at from spans
    where $in_error_type and contains(lower(error_type), lower($text))
      and not ($in_name and contains(lower(name), lower($text)))
    union all
    select trace_hi, trace_lo, started_at from spans
    where $in_status_message and contains(lower(status_message), lower($text))
      and not ($in_name and contains(lower(name), lower($text)))
      and not ($in_error_type and coalesce(contains(lower(error_type), lower($text)), false))
)
select trace_hi, trace_lo, started_at from matching order by started_at desc limit $limit
