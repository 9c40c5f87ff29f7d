-- Spans that match a search, the newest first. Takes: since, until (timestamp), plugin, version, operation, outcome, text (varchar or null),
-- min_seconds, max_seconds (double or null), first, last (ubigint: batches), limit. Gives: trace_hi, trace_lo, started_at of each span.
-- Each text is looked at alone, and not one or the other of them: DuckDB then looks once at each text that a row group holds, not
-- once a row.
-- Materialized, because DuckDB otherwise narrows the search by the times found so far, for twice the price of not doing so.
with spans as not materialized (
    select trace_hi, trace_lo, started_at, name, error_type, status_message
    from span_rows
    where batch between $first::ubigint and $last::ubigint
      and started_at > $since::timestamp and started_at <= $until::timestamp
      and ($plugin is null or plugin_id = $plugin) and ($version is null or plugin_version = $version)
      and ($operation is null or plugin_operation = $operation) and ($outcome is null or outcome = $outcome)
      and ($min_seconds is null or duration_ns >= $min_seconds * 1e9)
      and ($max_seconds is null or duration_ns <= $max_seconds * 1e9)
),
matching as materialized (
    select trace_hi, trace_lo, started_at from spans where $text is null or contains(lower(name), lower($text))
    union all
    select trace_hi, trace_lo, started_at from spans
    where contains(lower(error_type), lower($text)) and not contains(lower(name), lower($text))
    union all
    select trace_hi, trace_lo, started_at from spans
    where contains(lower(status_message), lower($text)) and not contains(lower(name), lower($text))
      and not coalesce(contains(lower(error_type), lower($text)), false)
)
select trace_hi, trace_lo, started_at from matching order by started_at desc limit $limit
