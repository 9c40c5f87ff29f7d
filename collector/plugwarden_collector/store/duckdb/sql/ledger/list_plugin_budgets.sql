-- All rows of plugin_budgets.
from plugin_budgets order by slo, plugin_id limit 10000
