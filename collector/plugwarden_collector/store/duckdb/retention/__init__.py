"""What is let go, when, and how much of it at once."""
