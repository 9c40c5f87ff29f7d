-- Note what the texts of a closed block hold. Takes: first, last (ubigint), filter (blob).
insert or replace into trace_texts values ($first::ubigint, $last::ubigint, $filter)
