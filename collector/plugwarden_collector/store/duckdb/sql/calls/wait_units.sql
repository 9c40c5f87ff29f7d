-- Units that fresh waits for downstreams came in. Takes: after, until (ubigint). Gives: unit.
select distinct unit from point_rows where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.downstream.duration'
