-- Which of the records of its commit a log record is, from 1 on: its id is made of both and means it alone, also once others of the
-- commit were let go. A number that is counted when it is asked for moves then.
alter table log_rows add column place ubigint;
update log_rows set place = placed.place
from (select rowid as row, row_number() over (partition by batch order by rowid) as place from log_rows) as placed
where log_rows.rowid = placed.row;
