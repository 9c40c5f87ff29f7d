-- Store spans. Takes: staging table incoming_spans.
insert into span_rows by name select * from incoming_spans
