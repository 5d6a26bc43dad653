"""Who did or saw what, to whom, when. Append only."""
