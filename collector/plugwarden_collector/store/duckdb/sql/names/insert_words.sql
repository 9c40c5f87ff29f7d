-- Know words of one kind from now on. Takes three lists of one length: services, plugins, words (varchar[]); kind (varchar), at (timestamp).
insert into known_words
select $kind, unnest($services::varchar[]), unnest($plugins::varchar[]), unnest($words::varchar[]), $at::timestamp
