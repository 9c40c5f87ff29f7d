-- Forget the streams of some series that were silent longest. Takes: staging table staged_streams (those series), streams (bigint:
-- how many of one are kept).
delete from cumulative_streams using (
    select series, started_at from cumulative_streams semi join staged_streams using (series)
    qualify row_number() over (partition by series order by time desc, started_at desc) > $streams::bigint
) as beyond
where cumulative_streams.series = beyond.series and cumulative_streams.started_at = beyond.started_at
