-- When the automation quarantined something that several processes bore out, for its limit per hour: what one process alone does, or a plugin
-- that is new, has limits of its own (`decide.word`), and what is part of an action is none. Takes: since (timestamp). Gives: time.
select time from decisions where kind = 'quarantined' and actor = 'automation' and time > $since::timestamp
    and (evidence ->> '$.word.process') is null and coalesce(evidence ->> '$.word.young', 'false') = 'false'
    and coalesce(evidence ->> '$.known', 'true') = 'true' and coalesce(evidence ->> '$.same_action', 'false') = 'false'
