-- All closed blocks of span_rows, oldest first. Gives: first_batch, last_batch, filter.
select first_batch, last_batch, filter from trace_blocks order by first_batch
