-- The last value of some cumulative series. Takes: staging table wanted_series. Gives the columns of cumulative_series.
select cumulative_series.* from cumulative_series join wanted_series using (series)
