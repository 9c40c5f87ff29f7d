-- Calls told by spans alone, from senders that count none in metrics. Takes: after, until (ubigint). Gives rows of call_seconds; error_type of
-- a refused call is the reason, where that is one of the contract's.
-- A span that was sampled with a threshold (W3C tracestate, ot=th:T) stands for 2^56 / (2^56 - T) calls; a fraction of a
-- call is rounded up or down by the span's own id, so that no rounding error adds up. More than a million cannot be meant.
-- A span that names no operation is of the one that its own name tells, where that can be a name (contract/names.py).
-- Clients and producers wait for somebody else's call; a span of a named downstream is a part of one.
with invocations as (
    select
        date_trunc('second', started_at) as bucket_start, resource_id, plugin_id, plugin_version,
        coalesce(plugin_operation, if(length(name) <= contract.max_name and trim(name) <> '' and not regexp_matches(name, contract.odd_signs), name, contract.overflow))
            as plugin_operation,
        coalesce(outcome, if(status_code = 2, 'error', 'success')) as outcome, error_source,
        case when contract.refused(outcome) and (attributes ->> '$."plugin.rejection.reason"') in (contract.reasons)
            then attributes ->> '$."plugin.rejection.reason"' else error_type end as error_type,
        coalesce(tenant_id, '') as tenant_id, duration_ns, batch,
        if(trace_state is null, 1, floor(least(1e6,
            72057594037927936.0 / (72057594037927936.0 - least(72057594037927935.0,
                coalesce(('0x' || nullif(rpad(regexp_extract(trace_state, '(?:^|,)\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})', 1), 14, '0'),
                    '00000000000000'))::ubigint, 0)::double))
            ) + (hash(span_id) % 1000000) / 1e6))::ubigint as weight
    from span_rows
    where batch > $after::ubigint and batch <= $until::ubigint and plugin_id is not null and downstream is null and kind not in (3, 4)
),
cells as (
    select
        bucket_start, resource_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, tenant_id, batch,
        greatest(contract.least_index, least(contract.most_index, ceil(log2(greatest(duration_ns, 1) / 1e9) * contract.per_octave)::integer - 1)) as index,
        bounded(sum(weight))::ubigint as count, sum(duration_ns::double * weight) / 1e9 as seconds, max(duration_ns) / 1e9 as longest
    from invocations group by all
)
select
    bucket_start, r.service_name, r.instance_id, plugin_id, coalesce(plugin_version, '') as plugin_version, plugin_operation,
    outcome, if(outcome = 'success', '', coalesce(error_source, 'plugin')) as error_source,
    if(outcome = 'success', '', coalesce(error_type, '_OTHER')) as error_type,
    tenant_id, left(coalesce(r.host_name, ''), contract.max_name) as host_name,
    bounded(sum(count))::ubigint as calls, sum(seconds) as duration_seconds_sum, max(longest) as duration_seconds_max,
    0::double as cpu_seconds, list(index order by index) as bucket_index, list(count order by index)::ubigint[] as bucket_count,
    batch
from cells join resource_rows as r on cells.resource_id = r.id
where not r.counts_calls
group by all
