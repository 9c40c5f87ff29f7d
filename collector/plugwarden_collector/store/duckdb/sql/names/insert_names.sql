-- Know names from now on. Takes three lists of one length: services, plugins, versions (varchar[]); at (timestamp).
insert into known_names
select unnest($services::varchar[]), unnest($plugins::varchar[]), unnest($versions::varchar[]), $at::timestamp
