-- Freshly counted calls under the names that are told apart: a version beyond them is _OTHER of its plugin, a plugin beyond them
-- is _OTHER. Gives rows of call_seconds, with beyond (boolean). Nobody is told apart by host,
-- tenant, operation or error in what is beyond.
with plugins as (select distinct service_name, plugin_id from known_names),
marked as (
    select calls.*, k.plugin_id is null as beyond, p.plugin_id is null as stranger from staged_calls as calls
    left join known_names as k on calls.service_name = k.service_name and calls.plugin_id = k.plugin_id
        and calls.plugin_version = k.plugin_version
    left join plugins as p on calls.service_name = p.service_name and calls.plugin_id = p.plugin_id
)
select
    bucket_start, service_name, if(beyond, '', instance_id) as instance_id, if(stranger, '_OTHER', plugin_id) as plugin_id,
    case when not beyond then plugin_version when stranger then '' else '_OTHER' end as plugin_version,
    if(beyond, '_OTHER', plugin_operation) as plugin_operation, outcome, error_source,
    if(beyond and error_type <> '', '_OTHER', error_type) as error_type,
    if(beyond, '', tenant_id) as tenant_id, if(beyond, '', host_name) as host_name, calls, duration_seconds_sum, duration_seconds_max,
    cpu_seconds, bucket_index, bucket_count, batch, beyond
from marked
