"""What `make` runs: small programs of the standard library, and nothing the product needs."""
