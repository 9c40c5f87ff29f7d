-- Keep attempts to tell somebody, all in one statement. Takes: one list a column, each with one entry an attempt: times, ends
-- (timestamp[]; ends null while there is no result), receivers, fingerprints, statuses, errors, bodies (JSON), ids (varchar[]), attempts (integer[]).
insert into notifications by name
select
    unnest($times::timestamp[]) as time, unnest($receivers::varchar[]) as receiver, unnest($fingerprints::varchar[]) as fingerprint,
    unnest($statuses::varchar[]) as status, unnest($attempts::integer[]) as attempt, unnest($errors::varchar[]) as error,
    unnest($bodies::varchar[])::json as body, unnest($ids::varchar[]) as id, unnest($ends::timestamp[]) as finished_at
