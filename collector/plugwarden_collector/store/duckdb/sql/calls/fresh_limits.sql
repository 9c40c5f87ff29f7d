-- What host processes told of their limits, by the minute: the fullest of each, with its limit; of plugins and versions that are told apart
-- (told_apart.py), which none is before its first call. A limit and its use are told together.
-- Takes: after, until (ubigint), most (integer: operations of a plugin's version). Gives rows of limit_minutes.
with gauges as (
    select
        instance_id, service_name, plugin_id, coalesce(plugin_version, '') as plugin_version, coalesce(plugin_operation, '') as plugin_operation,
        time, metric, attributes ->> '$."plugin.term"' as term, value
    from point_rows
    where batch > $after::ubigint and batch <= $until::ubigint and kind = 'gauge' and plugin_id is not null
      and metric in ('plugin.invocation.active', 'plugin.terms.declared', 'plugin.terms.enforced', 'plugin.terms.observed')
      and isfinite(value) and value between 0 and 1e15
),
told as (
    select
        service_name, plugin_id, plugin_version, plugin_operation, date_trunc('minute', time) as bucket_start,
        max(value) filter (metric = 'plugin.terms.declared' and term = 'concurrency') as declared_concurrency,
        max(value) filter (metric = 'plugin.terms.enforced' and term = 'concurrency') as concurrency,
        max(value) filter (metric = 'plugin.terms.enforced' and term = 'rate') as rate,
        max(value) filter (metric = 'plugin.invocation.active' or (metric = 'plugin.terms.observed' and term = 'concurrency')) as running,
        max(value) filter (metric = 'plugin.terms.observed' and term = 'rate') as asked
    from gauges
    group by service_name, plugin_id, plugin_version, plugin_operation, instance_id, time
),
uses as (
    select * exclude (declared_concurrency, concurrency, rate, running, asked), 'concurrency' as resource,
        coalesce(concurrency, declared_concurrency) as limit_value, running as used
    from told
    union all
    select * exclude (declared_concurrency, concurrency, rate, running, asked), 'rate', rate, asked from told
),
fullest as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, resource,
        arg_max({limit_value: limit_value, used: used}, used / limit_value) as of
    from uses semi join known_names using (service_name, plugin_id, plugin_version)
    where limit_value > 0 and used is not null
    group by all
)
select bucket_start, plugin_id, plugin_version, plugin_operation, resource, of.limit_value as limit_value, of.used as used from fullest
qualify row_number() over (
    partition by bucket_start, plugin_id, plugin_version, resource order by of.used / of.limit_value desc, plugin_operation
) <= $most::integer
