-- All rows of slo_status, but for those of a period of the calendar that is over. Takes: at (timestamp).
from slo_status where period_ends_at is null or period_ends_at > $at::timestamp order by slo, plugin_id, plugin_version limit 10000
