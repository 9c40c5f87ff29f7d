-- All different texts of a run of batches that a search looks into, in lower case. Takes: first, last (ubigint), most (bigint,
-- bytes). Gives: names, error_types, status_messages (varchar, one a line; null: there are more bytes of them than that).
select
    (select if(coalesce(sum(strlen(text)), 0) <= $most::bigint, coalesce(string_agg(text, chr(10)), ''), null) from (
        select distinct lower(name) as text from span_rows where batch between $first::ubigint and $last::ubigint)) as names,
    (select if(coalesce(sum(strlen(text)), 0) <= $most::bigint, coalesce(string_agg(text, chr(10)), ''), null) from (
        select distinct lower(error_type) as text from span_rows where batch between $first::ubigint and $last::ubigint and error_type is not null)) as error_types,
    (select if(coalesce(sum(strlen(text)), 0) <= $most::bigint, coalesce(string_agg(text, chr(10)), ''), null) from (
        select distinct lower(status_message) as text from span_rows where batch between $first::ubigint and $last::ubigint)) as status_messages
