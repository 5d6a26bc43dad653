"""People we treat, how they may be reached, and their way in."""
