-- Note what changed, all in one statement. Takes: one list a column, each with one entry a change: times (timestamp[]), kinds,
-- plugins, versions, texts (varchar[]).
insert into changes
select
    unnest($times::timestamp[]), unnest($kinds::varchar[]), unnest($plugins::varchar[]), unnest($versions::varchar[]),
    null, unnest($texts::varchar[])
