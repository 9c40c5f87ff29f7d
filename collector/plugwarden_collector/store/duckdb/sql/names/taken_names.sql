-- How many names have a place. Gives: taken.
select count(*)::bigint as taken from known_names
