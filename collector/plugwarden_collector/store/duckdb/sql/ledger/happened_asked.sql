-- Decisions that isolated nothing, from a moment on, the oldest first. Takes: since (timestamp), kinds (varchar[]).
-- Gives: time, kind, actor, scope, reason. The sum as in list_decisions.
select time, kind, actor, scope, reason from decisions
where time >= $since::timestamp and list_contains($kinds::varchar[], kind) order by sequence + 0
