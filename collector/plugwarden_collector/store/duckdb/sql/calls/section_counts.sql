-- One plugin's calls that an objective is about, by section of time and version, and those that count against it also over all sections that
-- count, by version, operation and error.
-- Takes: plugin, version (varchar or null: all), the span of time (store/duckdb/calls/resolutions.py), cut_hours (timestamp[]: whole hours in
-- which a section ends, read by the minute), firsts (timestamp[]: beginnings of sections, rising) and counting (boolean[]: of the same
-- length), operations, versions (varchar: regular expressions; null: all), fast (integer: the last histogram bucket that is still fast;
-- null: failures are bad). Gives: section (from 0; null: all that count), plugin_version, plugin_operation, error_type (null of a section;
-- empty: slow calls that did not fail), total, bad.
with sections as (
    select unnest($firsts::timestamp[]) as first, unnest($counting::boolean[]) as counting,
        generate_subscripts($firsts::timestamp[], 1) - 1 as section
),
cut as (select unnest($cut_hours::timestamp[]) as hour),
cells as (
    select bucket_start, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where plugin_id = $plugin
      and not (bucket_start >= $first_hour::timestamp and bucket_start < $hours_end::timestamp and bucket_start in (select hour from cut))
    union all
    select bucket_start, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_minutes
    where plugin_id = $plugin and bucket_start >= $first_hour::timestamp and bucket_start < $hours_end::timestamp
      and date_trunc('hour', bucket_start) in (select hour from cut)
),
judged as (
    select bucket_start, plugin_version, plugin_operation, error_type, calls,
        contract.bad_calls(outcome, error_source, error_type) as bad
    from cells
    where (plugin_version = $version or $version is null) and contract.judged(outcome, error_source, error_type)
      and contract.wanted(plugin_operation) and contract.meant(plugin_version)
),
placed as (select * from judged asof join sections on judged.bucket_start >= sections.first)
select section, plugin_version, null as plugin_operation, null as error_type, bounded(sum(calls)) as total, bounded(sum(bad)) as bad
from placed group by section, plugin_version
union all
select null, plugin_version, plugin_operation, error_type, bounded(sum(calls)), bounded(sum(bad))
from placed where counting and bad > 0 group by plugin_version, plugin_operation, error_type
