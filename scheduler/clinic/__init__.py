"""Sites, chairs, opening hours, closures, shifts, services and settings: the supply."""
