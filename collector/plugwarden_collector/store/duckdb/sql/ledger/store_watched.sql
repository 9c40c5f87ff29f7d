-- Keep what is remembered of an [[alert]]. Takes: rule (varchar), kept (JSON as varchar), at (timestamp).
insert or replace into watched values ($rule::varchar, $kept::varchar::json, $at::timestamp)
