-- Calls that failed by what plugins depend on, of plugins that named no upstream. Takes: the span of time
-- (store/duckdb/calls/resolutions.py). Gives: plugin_id, failed, the most first.
select plugin_id, bounded(sum(calls)) as failed
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp) as c
where contract.failed(outcome) and error_source = 'downstream'
  and not exists (
      from upstream_calls as u where u.plugin_id = c.plugin_id and u.bucket_start > $since::timestamp and u.bucket_start <= $until::timestamp)
group by plugin_id
order by failed desc, plugin_id
