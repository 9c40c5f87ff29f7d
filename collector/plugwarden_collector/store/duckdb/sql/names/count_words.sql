-- How many words are told apart, and how many calls and waits were counted under one word with others. Gives: words, calls_beyond.
select (select count(*) from known_words)::bigint as words, (select coalesce(sum(calls), 0) from words_beyond)::bigint as calls_beyond
