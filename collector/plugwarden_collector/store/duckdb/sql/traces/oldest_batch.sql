-- The oldest commit of which a span is left. Gives: batch.
select coalesce(min(batch), 0) as batch from span_rows
