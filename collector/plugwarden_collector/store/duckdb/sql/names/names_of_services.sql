-- How many versions are known of each plugin of some services. Takes: services (varchar[]). Gives: service_name, plugin_id, taken.
select service_name, plugin_id, count(*)::bigint as taken from known_names
where list_contains($services::varchar[], service_name) group by all
