"""Emerge Scheduler: the system a two-site clinic runs on every day. This file holds nothing else on purpose."""
