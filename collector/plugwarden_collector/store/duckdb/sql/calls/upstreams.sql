-- How upstreams were over a span of time, by plugin and service, and each as a whole where these are null; the most failures first.
-- Takes: since, until (timestamp), upstream (varchar or null: all). Gives: upstream, plugin_id, service_name, calls, failed,
-- mean_seconds, p99_seconds, last_failed_at, last_at.
with rows as (
    from upstream_calls
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp
      and (upstream = $upstream or $upstream is null) and upstream <> contract.overflow
),
totals as (
    select
        upstream, plugin_id, service_name,
        bounded(sum(calls) filter (not contract.cancelled(outcome))) as calls,
        bounded(sum(calls) filter (contract.failed(outcome))) as failed,
        sum(duration_seconds_sum) filter (not contract.cancelled(outcome)) / nullif(sum(calls) filter (not contract.cancelled(outcome)), 0) as mean_seconds,
        max(bucket_start) filter (contract.failed(outcome)) as last_failed_at,
        max(bucket_start) as last_at
    from rows group by grouping sets ((upstream, plugin_id, service_name), (upstream))
),
buckets as (
    select upstream, plugin_id, service_name, index, sum(count) as count from (
        select upstream, plugin_id, service_name, unnest(bucket_index) as index, unnest(bucket_count) as count
        from rows where not contract.cancelled(outcome)
    ) group by grouping sets ((upstream, plugin_id, service_name, index), (upstream, index))
),
running as (
    select *,
        sum(count) over (partition by upstream, plugin_id, service_name order by index) as seen,
        sum(count) over (partition by upstream, plugin_id, service_name) as whole
    from buckets
),
quantiles as (
    select upstream, plugin_id, service_name, pow(2, min(index) filter (seen >= 0.99 * whole) / contract.per_octave) * middle as p99_seconds
    from running, (select 2 * pow(2, 1 / contract.per_octave) / (1 + pow(2, 1 / contract.per_octave)) as middle)
    group by upstream, plugin_id, service_name, middle
)
select t.upstream, t.plugin_id, t.service_name, calls, failed, mean_seconds, p99_seconds, last_failed_at, last_at
from totals as t
left join quantiles as q on t.upstream = q.upstream and t.plugin_id is not distinct from q.plugin_id
    and t.service_name is not distinct from q.service_name
order by failed desc, calls desc, t.upstream, t.plugin_id, t.service_name
