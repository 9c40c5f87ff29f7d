-- Give the places of words of one kind that were not used to others. Takes: kind (varchar), before (timestamp), services (varchar[];
-- null: of all).
delete from known_words
where kind = $kind and last_at < $before::timestamp
  and ($services::varchar[] is null or list_contains($services::varchar[], service_name))
