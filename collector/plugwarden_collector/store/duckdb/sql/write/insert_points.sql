-- Store metric points of all kinds. Takes: staging table incoming_points, batch (ubigint).
insert into point_rows by name select $batch::ubigint as batch, * from incoming_points
