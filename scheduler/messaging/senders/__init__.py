"""How a message leaves: one file a carrier."""
