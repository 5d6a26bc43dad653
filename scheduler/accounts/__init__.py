"""Staff who sign in: roles, passwords, sessions."""
