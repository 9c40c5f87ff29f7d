-- All closed blocks of span_rows, oldest first. Gives: first_batch, last_batch, first_at, last_at, filter, texts (blob or null:
-- not known yet).
select b.first_batch, b.last_batch, b.first_at, b.last_at, b.filter, t.filter as texts
from trace_blocks as b left join trace_texts as t on t.first_batch = b.first_batch order by b.first_batch
