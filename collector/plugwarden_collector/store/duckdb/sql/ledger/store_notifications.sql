-- Keep attempts to tell somebody, all in one statement. Takes: one list a column, each with one entry an attempt: times (timestamp[]),
-- receivers, fingerprints, statuses, errors, bodies (JSON) (varchar[]), attempts (integer[]).
insert into notifications
select
    unnest($times::timestamp[]), unnest($receivers::varchar[]), unnest($fingerprints::varchar[]), unnest($statuses::varchar[]),
    unnest($attempts::integer[]), unnest($errors::varchar[]), unnest($bodies::varchar[])::json
