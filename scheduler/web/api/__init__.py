"""Problem documents and machine answers."""
