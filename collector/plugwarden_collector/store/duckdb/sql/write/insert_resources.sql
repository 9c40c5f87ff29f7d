-- Remember resources seen for the first time. Takes: staging table incoming_resources.
insert into resource_rows by name
select distinct on (id) id, service_name, instance_id, host_name, environment, counts_calls, attributes
from incoming_resources
on conflict do nothing
