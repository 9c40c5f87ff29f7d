-- Forget the texts of blocks of which no span is left. Takes: oldest (ubigint).
delete from trace_texts where last_batch < $oldest::ubigint
