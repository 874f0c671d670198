"""Column files: one word and its tags per line."""
