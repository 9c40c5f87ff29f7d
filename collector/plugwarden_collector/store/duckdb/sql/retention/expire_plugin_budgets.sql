-- Forget rows of plugin_budgets beyond their age. Takes: before (timestamp).
delete from plugin_budgets where time < $before::timestamp
