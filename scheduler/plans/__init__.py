"""A course of treatment. Every act on an appointment enters here and falls through to the book."""
