"""The arithmetic of free time. Pure: no database, no clock."""
