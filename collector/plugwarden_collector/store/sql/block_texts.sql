-- All different texts of a run of batches that a search looks into, in lower case. Takes: first, last (ubigint), most (bigint,
-- bytes). Gives: texts (varchar, one a line; null: there are more bytes of them than that).
select if(sum(strlen(text)) <= $most::bigint, string_agg(text, chr(10)), null) as texts from (
    select lower(name) as text from span_rows where batch between $first::ubigint and $last::ubigint
    union
    select lower(error_type) from span_rows where batch between $first::ubigint and $last::ubigint and error_type is not null
    union
    select lower(status_message) from span_rows where batch between $first::ubigint and $last::ubigint
)
