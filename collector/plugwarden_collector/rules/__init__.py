"""What people configure: read, checked, and handed to judging and deciding, of which nothing here knows."""
