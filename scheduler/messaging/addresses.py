"""Where the provider reaches us. Built from the configured address, never from a request."""

TEXTS = "/hooks/twilio/text"
REPORTS = "/hooks/twilio/status"


def inbound(public_url: str) -> str:
    """Return the address texts come in by."""
    return f"{public_url.rstrip('/')}{TEXTS}"


def report(public_url: str, public_id: str) -> str:
    """Return the address by which the provider reports on one message."""
    return f"{public_url.rstrip('/')}{REPORTS}/{public_id}"
