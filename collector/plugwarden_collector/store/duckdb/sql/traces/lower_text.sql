-- A text in lower case, as DuckDB understands it. Takes: text (varchar). Gives: text.
select lower($text::varchar) as text
