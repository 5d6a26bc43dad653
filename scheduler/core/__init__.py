"""Database, clock, spans of time, errors, phones, sealed text. Knows no word of medicine."""
