"""How a calendar is handed out: to be kept by its reader alone, and not sent twice unchanged."""

from flask import Response, request

KEPT_SECONDS = 900


def calendar(body: bytes) -> Response:
    """Return a calendar; to a program that has this very one already, only that it is the same."""
    response = Response(
        body,
        mimetype="text/calendar",
        headers={
            "Cache-Control": f"private, max-age={KEPT_SECONDS}",
            "X-Robots-Tag": "noindex",
        },
    )
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]
