-- Keep rows that could not be counted. Takes: id, time, batch (ubigint), what (varchar), rows (ubigint), service_name, plugin_id
-- (varchar or null), error (varchar), content (blob: the rows, as an Arrow stream; null: not kept).
insert into set_aside
select
    $id::varchar, $time::timestamp, $batch::ubigint, $what::varchar, $rows::ubigint, $service_name::varchar, $plugin_id::varchar,
    $error::varchar, $content::blob
