-- Forget blocks of which no span is left. Takes: oldest (ubigint).
delete from trace_blocks where last_batch < $oldest::ubigint
