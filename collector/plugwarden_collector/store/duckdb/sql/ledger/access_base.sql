-- The last entry that was let go of the access log, as the decision log tells. Columns: evidence.
select max_by(evidence, sequence) as evidence from decisions where kind = 'access_log_trimmed'
