-- Known names were active. Takes three lists of one length: services, plugins, versions (varchar[]); at (timestamp).
update known_names set last_at = $at::timestamp from (
    select unnest($services::varchar[]) as service_name, unnest($plugins::varchar[]) as plugin_id,
        unnest($versions::varchar[]) as plugin_version
) as active
where known_names.service_name = active.service_name and known_names.plugin_id = active.plugin_id
  and known_names.plugin_version = active.plugin_version
