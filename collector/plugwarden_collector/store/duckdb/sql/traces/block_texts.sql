-- All different texts of a run of batches that a search looks into, in lower case. Takes: first, last (ubigint), most (bigint,
-- bytes). Gives: names, error_types, status_messages (varchar, one a line; null: there are more bytes of them than that).
-- How long they are is summed up by their hashes first: texts of a hundred thousand different errors would not fit into memory.
with spans as not materialized (
    select lower(name) as name, lower(error_type) as error_type, lower(status_message) as status_message
    from span_rows where batch between $first::ubigint and $last::ubigint
),
bytes as materialized (
    select
        (select coalesce(sum(size), 0) from (select distinct hash(name), strlen(name) as size from spans)) as names,
        (select coalesce(sum(size), 0) from (select distinct hash(error_type), strlen(error_type) as size from spans)) as error_types,
        (select coalesce(sum(size), 0) from (select distinct hash(status_message), strlen(status_message) as size from spans)) as status_messages
)
select
    if((select names from bytes) <= $most::bigint, coalesce((select string_agg(text, chr(10)) from (
        select distinct name as text from spans where (select names from bytes) <= $most::bigint)), ''), null) as names,
    if((select error_types from bytes) <= $most::bigint, coalesce((select string_agg(text, chr(10)) from (
        select distinct error_type as text from spans where (select error_types from bytes) <= $most::bigint and error_type is not null)), ''), null) as error_types,
    if((select status_messages from bytes) <= $most::bigint, coalesce((select string_agg(text, chr(10)) from (
        select distinct status_message as text from spans where (select status_messages from bytes) <= $most::bigint)), ''), null) as status_messages
