-- What the file holds. Gives: block_size, total_blocks, used_blocks, free_blocks (counts), and sizes as text.
from pragma_database_size() where database_name = current_database()
