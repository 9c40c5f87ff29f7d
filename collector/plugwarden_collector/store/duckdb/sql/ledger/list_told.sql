-- What receivers hold for open: the last that each was told of a subject, where it was no end. In the order of the rows, for a clock
-- may step; an end that was given up is one. Gives: receiver, fingerprint, time, body (JSON).
with last as (
    select receiver, fingerprint, arg_max(time, rowid) as time, arg_max(body, rowid) as body
    from notifications
    where fingerprint is not null and (status = 'sent' or (status = 'given_up' and body ->> '$.status' = 'resolved'))
    group by all
)
select receiver, fingerprint, time, body::varchar as body from last where body ->> '$.status' = 'firing'
