"""Error budgets, held against what a second reckoning makes of the same calls."""
