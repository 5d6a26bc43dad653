"""The supply, and who is hit when some of it goes."""
