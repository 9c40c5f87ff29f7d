-- The tables of a database, views and temporary ones left out. Parameters: $database. Columns: name.
select table_name as name from duckdb_tables() where database_name = $database and not temporary and not internal order by name
