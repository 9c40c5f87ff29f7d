-- Known words of one kind were used. Takes three lists of one length: services, plugins, words (varchar[]); kind (varchar), at (timestamp).
update known_words set last_at = $at::timestamp from (
    select unnest($services::varchar[]) as service_name, unnest($plugins::varchar[]) as plugin_id, unnest($words::varchar[]) as word
) as used
where known_words.kind = $kind and known_words.service_name = used.service_name and known_words.plugin_id = used.plugin_id
  and known_words.word = used.word
