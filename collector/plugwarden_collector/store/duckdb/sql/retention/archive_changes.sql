-- Deployments and other annotations from before a moment. Takes: before (timestamp).
select * from changes where time < $before::timestamp
