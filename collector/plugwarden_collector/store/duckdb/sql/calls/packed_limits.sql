-- Minutes of limits, rows of one key as one: the fullest. Takes: first, before (timestamp), most (integer: operations of a plugin's version).
-- Gives rows of limit_minutes.
with fullest as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, resource,
        arg_max({limit_value: limit_value, used: used}, used / limit_value) as of
    from limit_minutes where bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    group by all
)
select bucket_start, plugin_id, plugin_version, plugin_operation, resource, of.limit_value as limit_value, of.used as used from fullest
qualify row_number() over (
    partition by bucket_start, plugin_id, plugin_version, resource order by of.used / of.limit_value desc, plugin_operation
) <= $most::integer
order by all
