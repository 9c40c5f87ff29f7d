-- How many words of one kind are known of each plugin of some services. Takes: kind (varchar), services (varchar[]).
-- Gives: service_name, plugin_id, taken.
select service_name, plugin_id, count(*)::bigint as taken from known_words
where kind = $kind and list_contains($services::varchar[], service_name) group by all
