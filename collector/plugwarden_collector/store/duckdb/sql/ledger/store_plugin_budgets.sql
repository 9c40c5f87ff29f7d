-- Keep where budgets of plugins stand over all of their versions, all in one statement.
-- Takes: one list a column, each with one entry a budget: slos, plugins, slis (varchar[]), times (timestamp[]), objectives, periods (double[]),
-- counts (ubigint[], of versions), totals, bads (ubigint[]), values, remaining, burns, exhausted (double[], null where unknown), starts, ends (timestamp[], null
-- of a period that rolls), excluded (double[], seconds).
insert or replace into plugin_budgets
select
    unnest($slos::varchar[]), unnest($plugins::varchar[]), unnest($times::timestamp[]), unnest($slis::varchar[]),
    unnest($objectives::double[]), unnest($periods::double[]), unnest($counts::ubigint[]), unnest($totals::ubigint[]),
    unnest($bads::ubigint[]), unnest($values::double[]), unnest($remaining::double[]), unnest($burns::double[]),
    unnest($exhausted::double[]), unnest($starts::timestamp[]), unnest($ends::timestamp[]), unnest($excluded::double[])
