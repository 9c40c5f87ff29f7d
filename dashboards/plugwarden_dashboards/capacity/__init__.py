"""What the page of capacity is put together from, a file a question of planners."""
