"""What a person must close: kind, topic, site, due, assignee, outcome."""
