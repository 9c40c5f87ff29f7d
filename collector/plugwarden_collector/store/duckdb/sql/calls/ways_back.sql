-- To which earlier versions each process lately told that refused calls of a plugin's operations go back. A process tells one for each, and
-- several where it was wrapped anew or somebody else speaks in its name: all are given, at most 20. What one tells takes at most 500 rows,
-- what those tell that called nothing of it in that time 1,000, and the rest 8,000; each process's first rows come before anybody's second.
-- Takes: plugin (varchar), since, until (timestamp). Gives: instance, version, operation, previous; of the same three the newest first.
with told as (
    select
        instance_id as instance, plugin_version as version, plugin_operation as operation,
        attributes ->> '$."plugin.previous.version"' as previous, max(time) as told_at
    from point_rows
    where plugin_id = $plugin and metric = 'plugin.terms.declared' and kind = 'gauge'
        and time > $since::timestamp and time <= $until::timestamp
        and attributes ->> '$."plugin.term"' = 'previous' and attributes ->> '$."plugin.previous.version"' is not null
    group by instance_id, plugin_version, plugin_operation, previous
    qualify row_number() over (partition by instance, version, operation order by told_at desc, previous) <= 20
),
placed as (
    select
        *, instance in (
            select instance_id from call_seconds
            where plugin_id = $plugin and bucket_start > $since::timestamp and bucket_start <= $until::timestamp and calls > 0
        ) as calling,
        row_number() over (partition by instance order by told_at desc, version, operation, previous) as place
    from told
    qualify place <= 500
)
select instance, version, operation, previous
from placed
qualify row_number() over (partition by calling order by place, instance) <= if(calling, 8000, 1000)
order by instance, version, operation, told_at desc, previous
