-- Calls that the rollup by the hour has for one hour. Takes: hour (timestamp). Gives calls (hugeint, 0 for none).
select coalesce(sum(calls), 0) as calls from call_hours where bucket_start = $hour::timestamp
