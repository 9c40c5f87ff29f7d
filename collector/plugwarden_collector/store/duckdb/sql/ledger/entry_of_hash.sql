-- Entries of either chain with a hash. Takes: hash. Columns: stream, sequence, time.
select 'decisions' as stream, sequence, time from decisions where hash = $hash
union all
select 'access', sequence, time from access_log where hash = $hash
