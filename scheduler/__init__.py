"""Emerge Scheduler: the system a two-site clinic runs on every day. Empty on purpose."""
