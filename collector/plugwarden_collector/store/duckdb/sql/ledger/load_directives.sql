-- The newest directive set. Gives: body (JSON).
select body from directive_sets where revision = (select max(revision) from directive_sets)
