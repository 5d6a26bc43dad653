"""Database, clock, spans of time, errors, phones, tokens, sealed text. Knows no word of medicine."""
