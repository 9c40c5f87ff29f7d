-- One entry of the access log. Takes: sequence. Columns: sequence, hash, first (the oldest there is).
select sequence, hash, (select min(sequence) from access_log) as first from access_log where sequence = $sequence
