-- Traces that hold a matching span, newest first. Takes: since, until (timestamp), plugin, version, outcome, text (varchar
-- or null), min_seconds, max_seconds (double or null), limit. Gives: trace_id, started_at, root, service_name,
-- duration_seconds, spans, errors, plugins.
with hits as (
    select trace_hi, trace_lo, max(started_at) as latest
    from span_rows
    where started_at > $since::timestamp and started_at <= $until::timestamp
      and ($plugin is null or plugin_id = $plugin) and ($version is null or plugin_version = $version)
      and ($outcome is null or outcome = $outcome)
      and ($min_seconds is null or duration_ns >= $min_seconds * 1e9)
      and ($max_seconds is null or duration_ns <= $max_seconds * 1e9)
      and ($text is null or contains(lower(name), lower($text)) or contains(lower(coalesce(error_type, '')), lower($text))
           or contains(lower(status_message), lower($text)))
    group by all order by latest desc limit $limit
)
select
    format('{:016x}{:016x}', trace_hi, trace_lo) as trace_id,
    min(started_at) as started_at,
    coalesce(arg_min(name, started_at) filter (parent_span_id is null), arg_min(name, started_at)) as root,
    any_value(service_name) as service_name,
    (epoch_us(max(started_at + to_microseconds(duration_ns // 1000))) - epoch_us(min(started_at))) / 1e6 as duration_seconds,
    count(*) as spans, count(*) filter (status_code = 2) as errors,
    list(distinct plugin_id order by plugin_id) filter (plugin_id is not null) as plugins
from span_rows join hits using (trace_hi, trace_lo)
where started_at > $since::timestamp - interval 1 hour
group by trace_hi, trace_lo order by started_at desc
