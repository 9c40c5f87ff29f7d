-- Keep the last values of cumulative streams, those heard last of each series. Takes: staging table staged_streams, streams
-- (bigint: so many of one series).
insert or replace into cumulative_streams by name select * from staged_streams
qualify row_number() over (partition by series order by time desc, started_at desc) <= $streams::bigint
