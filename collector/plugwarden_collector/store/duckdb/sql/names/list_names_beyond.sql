-- Services whose calls were beyond the names that are told apart since a moment, most calls first. Takes: since (timestamp).
-- Gives: service_name, since, last_at, calls.
select service_name, since, last_at, calls from names_beyond where last_at > $since::timestamp order by calls desc, service_name limit 50
