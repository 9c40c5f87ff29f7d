-- How many words of one kind have a place. Takes: kind (varchar). Gives: taken.
select count(*)::bigint as taken from known_words where kind = $kind
