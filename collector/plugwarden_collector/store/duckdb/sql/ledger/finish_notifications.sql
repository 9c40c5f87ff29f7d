-- Write the results of attempts that were kept when they began. Takes: lists of one length: ids, statuses, errors (varchar[]), ends (timestamp[]).
update notifications set status = ended.status, error = ended.error, finished_at = ended.finished_at
from (
    select
        unnest($ids::varchar[]) as id, unnest($statuses::varchar[]) as status, unnest($errors::varchar[]) as error,
        unnest($ends::timestamp[]) as finished_at
) as ended
where notifications.id = ended.id
