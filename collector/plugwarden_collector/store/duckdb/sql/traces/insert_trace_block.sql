-- Close a block of span_rows. Takes: first, last (ubigint), spans, traces (ubigint), filter (blob). Gives: first_at, last_at.
insert into trace_blocks
select $first::ubigint, $last::ubigint, coalesce(min(started_at), timestamp '1970-01-01'),
    coalesce(max(started_at), timestamp '1970-01-01'), $spans::ubigint, $traces::ubigint, $filter
from span_rows where batch between $first::ubigint and $last::ubigint
returning first_at, last_at
