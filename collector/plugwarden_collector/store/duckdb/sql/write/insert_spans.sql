-- Store spans. Takes: staging table incoming_spans, batch (ubigint).
insert into span_rows by name select $batch::ubigint as batch, * from incoming_spans
