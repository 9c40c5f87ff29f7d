"""What we are built of: a bill of materials, and whether anything of it has a known fault."""
