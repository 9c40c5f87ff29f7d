-- Plugins whose calls or waits were beyond the words that are told apart since a moment, most first; more tenants than that
-- are no trouble. Takes: since (timestamp).
-- Gives: kind, service_name, plugin_id, since, last_at, calls.
select kind, service_name, plugin_id, since, last_at, calls from words_beyond
where last_at > $since::timestamp and kind <> 'tenant_id' order by calls desc, service_name, plugin_id, kind limit 50
