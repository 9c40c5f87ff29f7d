-- Keep the last values of cumulative series, all in one statement. Takes: staging table staged_series.
insert or replace into cumulative_series by name select * from staged_series
