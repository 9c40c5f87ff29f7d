-- The last value of some cumulative series. Takes: series (ubigint[]). Gives the columns of cumulative_series.
from cumulative_series where list_contains($series::ubigint[], series)
