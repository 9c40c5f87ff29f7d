-- Attempts to tell somebody, those that began last first, 100,000 at most. Takes: limit (bigint).
-- Gives: at, receiver, fingerprint, status, attempt, error, body (text), id, finished_at.
select
    time as at, receiver, coalesce(fingerprint, '') as fingerprint, status, attempt, error, body::varchar as body,
    coalesce(id, '') as id, finished_at
from notifications
order by rowid desc
limit least($limit::bigint, 100000)
