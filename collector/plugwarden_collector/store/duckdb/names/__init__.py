"""How many names and words are told apart, and who has a place."""
