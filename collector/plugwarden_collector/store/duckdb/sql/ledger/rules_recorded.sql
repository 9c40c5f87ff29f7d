-- When a start last recorded the text of these rules. Takes: sha256. Columns: time (null: never).
select max(time) as time from access_log
where kind = 'started' and evidence ->> '$.rules.sha256' = $sha256 and evidence ->> '$.rules.content' is not null
