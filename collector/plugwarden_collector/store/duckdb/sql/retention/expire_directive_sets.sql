-- Keep the newest thousand directive sets.
delete from directive_sets where revision + 1000 < (select max(revision) from directive_sets)
