-- Keep where budgets stand, all in one statement: one a row takes 2 ms each, and the writer has other things to do.
-- Takes: one list a column, each with one entry a budget: slos, plugins, versions, slis (varchar[]), times (timestamp[]),
-- objectives, periods (double[]), totals, bads (ubigint[]), values, remaining, burns, exhausted (double[], null where unknown), starts, ends (timestamp[], null
-- of a period that rolls), excluded (double[], seconds).
insert or replace into slo_status
select
    unnest($slos::varchar[]), unnest($plugins::varchar[]), unnest($versions::varchar[]), unnest($times::timestamp[]),
    unnest($slis::varchar[]), unnest($objectives::double[]), unnest($periods::double[]), unnest($totals::ubigint[]),
    unnest($bads::ubigint[]), unnest($values::double[]), unnest($remaining::double[]), unnest($burns::double[]),
    unnest($exhausted::double[]), unnest($starts::timestamp[]), unnest($ends::timestamp[]), unnest($excluded::double[])
