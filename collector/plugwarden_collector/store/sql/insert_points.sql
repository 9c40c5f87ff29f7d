-- Store metric points of all kinds. Takes: staging table incoming_points.
insert into point_rows by name select * from incoming_points
