-- Add what was told of limits. Takes: staging table staged_limits, rows as fresh_limits.sql gives them.
insert into limit_minutes by name select * from staged_limits
