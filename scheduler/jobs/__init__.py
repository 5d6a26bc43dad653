"""Doors for the clock: one file a job; runner.py says when."""
