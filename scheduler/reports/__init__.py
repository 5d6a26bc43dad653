"""Reads across rooms: worklists and counts."""
