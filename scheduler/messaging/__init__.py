"""The outbox and its life, what comes back, and consent to be texted."""
