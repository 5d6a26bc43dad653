"""Who would like to come sooner."""
