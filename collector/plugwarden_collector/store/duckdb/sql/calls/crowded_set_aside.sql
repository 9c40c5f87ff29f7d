-- Let go of the rows of older entries where there are more bytes of them than is kept, and of entries beyond their number or
-- age. Takes: bytes, entries (bigint), before (timestamp). Gives how many.
delete from set_aside
where time < $before::timestamp or id in (
    select id from (
        select id, sum(coalesce(octet_length(content), 0)) over newest as bytes, row_number() over newest as entry
        from set_aside window newest as (order by time desc, id rows unbounded preceding)
    ) where bytes > $bytes::bigint or entry > $entries::bigint
)
