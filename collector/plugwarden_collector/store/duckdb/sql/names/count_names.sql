-- How many names are told apart, and how many calls were counted under one name with others. Gives: names, calls_beyond.
select (select count(*) from known_names)::bigint as names, (select coalesce(sum(calls), 0) from names_beyond)::bigint as calls_beyond
