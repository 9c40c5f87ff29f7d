-- All rows of slo_status.
from slo_status order by slo, plugin_id, plugin_version limit 10000
