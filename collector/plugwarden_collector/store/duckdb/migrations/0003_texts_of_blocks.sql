-- Which three-letter pieces the texts of a closed block of span_rows hold, so that a search for a text looks into few blocks.
-- A block without a row here is looked into; the collector adds what is missing in the background. See docs/adr/0016.
create table trace_texts (first_batch ubigint primary key, last_batch ubigint not null, filter blob not null);
