-- Spans that match a search, the newest first. Takes: since, until (timestamp), plugin, version, outcome, text (varchar or null),
-- min_seconds, max_seconds (double or null), limit. Gives: trace_hi, trace_lo of each span.
-- Each text is looked at alone: DuckDB then looks once at each text that a row group holds, not once a row.
-- Materialized, because DuckDB otherwise narrows the search by the times found so far, for twice the price of not doing so.
with matching as materialized (
    select trace_hi, trace_lo, started_at
    from span_rows
    where started_at > $since::timestamp and started_at <= $until::timestamp
      and ($plugin is null or plugin_id = $plugin) and ($version is null or plugin_version = $version)
      and ($outcome is null or outcome = $outcome)
      and ($min_seconds is null or duration_ns >= $min_seconds * 1e9)
      and ($max_seconds is null or duration_ns <= $max_seconds * 1e9)
      and ($text is null or contains(lower(name), lower($text)) or contains(lower(error_type), lower($text))
           or contains(lower(status_message), lower($text)))
)
select trace_hi, trace_lo from matching order by started_at desc limit $limit
