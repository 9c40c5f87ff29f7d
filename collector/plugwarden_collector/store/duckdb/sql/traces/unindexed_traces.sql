-- Trace ids of spans that no closed block covers. Takes: first (ubigint). Gives: batch, trace_hi, trace_lo.
select batch, trace_hi, trace_lo from span_rows where batch >= $first::ubigint order by batch
