-- Which keys sealed the entries of both chains. Gives: stream, key_id (not null), first, last (sequences).
select 'decisions' as stream, key_id, min(sequence) as first, max(sequence) as last from decisions where key_id is not null group by all
union all
select 'access', key_id, min(sequence), max(sequence) from access_log where key_id is not null group by all
order by stream desc, first
