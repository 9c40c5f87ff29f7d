-- Give the places of names that were not active to others. Takes: before (timestamp), services (varchar[]; null: of all).
delete from known_names
where last_at < $before::timestamp and ($services::varchar[] is null or list_contains($services::varchar[], service_name))
