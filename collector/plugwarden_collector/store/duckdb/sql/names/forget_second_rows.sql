-- Take some rows out of the tier of seconds. Takes: staging table doubtful_rows (row).
delete from call_seconds where rowid in (select row from doubtful_rows)
