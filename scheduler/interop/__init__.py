"""Speaks to other systems: what hospitals export and import."""
