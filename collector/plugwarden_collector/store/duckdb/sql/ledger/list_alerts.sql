-- Alerts now and lately. Gives the columns of alerts, what fires first; of our own and of pushed ones so many each, so that nobody
-- can push ours off the list. Takes: most (bigint).
with ranked as (
    select
        *, case state when 'firing' then 0 when 'pending' then 1 else 2 end as urgency,
        row_number() over (partition by source order by urgency, changed_at desc) as place
    from alerts
)
select * exclude (urgency, place) from ranked where place <= $most::bigint order by urgency, source = 'prometheus', changed_at desc
