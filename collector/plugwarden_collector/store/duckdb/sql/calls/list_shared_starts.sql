-- Services of which several processes shared identity and start since a moment, most points first. Takes: since (timestamp). Gives:
-- service_name, since, last_at, points.
select service_name, since, last_at, points from shared_starts where last_at > $since::timestamp
order by points desc, service_name limit 50
