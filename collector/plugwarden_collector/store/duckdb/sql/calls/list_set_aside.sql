-- Rows that could not be counted, newest first. Gives: id, time, batch, what, rows, service_name, plugin_id, error, kept.
select id, time, batch, what, rows, service_name, plugin_id, error, content is not null as kept
from set_aside order by time desc, id limit 1000
