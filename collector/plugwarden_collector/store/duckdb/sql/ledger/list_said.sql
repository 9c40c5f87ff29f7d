-- The last decision of each of some kinds on each scope, the newest 1,000. Takes: kinds (varchar[]).
-- Gives: kind, scope, time, reason, evidence (text).
select
    kind, scope, arg_max(time, sequence) as time, arg_max(reason, sequence) as reason,
    arg_max(evidence, sequence)::varchar as evidence
from decisions
where list_contains($kinds::varchar[], kind)
group by kind, scope
order by max(sequence) desc
limit 1000
