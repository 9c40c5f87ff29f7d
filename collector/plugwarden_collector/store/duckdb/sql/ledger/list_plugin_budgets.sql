-- All rows of plugin_budgets, but for those of a period of the calendar that is over. Takes: at (timestamp).
from plugin_budgets where period_ends_at is null or period_ends_at > $at::timestamp order by slo, plugin_id limit 10000
