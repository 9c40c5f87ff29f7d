-- Store spans. Takes: staging table incoming_spans.
insert into span_rows by name
select * replace (coalesce(plugin_id, nullif(scope_name, '')) as plugin_id,
                  case when plugin_id is null then scope_version else plugin_version end as plugin_version)
from incoming_spans
