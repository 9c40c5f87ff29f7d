-- Where the spans of one trace stand within a run of batches. Takes: hi, lo (ubigint), first, last (ubigint), limit. Gives: row, the
-- rowid, good for the same transaction.
select rowid as row from span_rows
where batch between $first::ubigint and $last::ubigint and trace_lo = $lo::ubigint and trace_hi = $hi::ubigint limit $limit
