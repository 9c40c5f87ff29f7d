"""The one thread that changes the database."""
