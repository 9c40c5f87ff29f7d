-- When the automation quarantined something, for its limit per hour. Takes: since (timestamp). Gives: time.
select time from decisions where kind = 'quarantined' and actor = 'automation' and time > $since::timestamp
