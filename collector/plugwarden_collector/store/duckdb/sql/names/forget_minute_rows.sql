-- Take some rows out of the tier of minutes. Takes: staging table doubtful_rows (row).
delete from call_minutes where rowid in (select row from doubtful_rows)
