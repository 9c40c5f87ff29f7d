-- The place of the log record that arrived last. Gives: batch, place; no row where there is none.
select batch, max(place) as place from log_rows where batch = (select max(batch) from log_rows) group by batch
