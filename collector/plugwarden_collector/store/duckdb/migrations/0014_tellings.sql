-- What each receiver holds for open, is owed, or was owed when it ended: kept until the receiver took it or a person gave it up.
create table tellings (
    receiver varchar not null, fingerprint varchar not null, due_at timestamp not null, told_at timestamp,
    given_up_by varchar, subject json not null, ended json,
    primary key (receiver, fingerprint)
);

-- Until here it was read from the log of attempts: the last that each receiver was told of a subject, where it was no end.
insert into tellings
with last as (
    select receiver, fingerprint, arg_max(time, rowid) as time, arg_max(body, rowid) as body
    from notifications
    where fingerprint is not null and (status = 'sent' or (status = 'given_up' and (body ->> '$.status') = 'resolved'))
    group by all
)
select
    receiver, fingerprint, time, time, null,
    json_object(
        'key', fingerprint, 'labels', body -> '$.alerts[0].labels', 'summary', body ->> '$.alerts[0].annotations.summary',
        'description', body ->> '$.alerts[0].annotations.description',
        'started_at', body ->> '$.alerts[0].startsAt'
    ), null
from last
where (body ->> '$.status') = 'firing' and (body -> '$.alerts[0].labels') is not null;

-- An attempt is written before it is made, and its result into the same row: a row without a result is one that a kill cut short.
alter table notifications add column id varchar;
alter table notifications add column finished_at timestamp;
