"""What every answer carries so that a browser keeps to our rules."""

import secrets

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from config import Config
from scheduler.audit.service import origin

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
FORM_TOKEN_SECONDS = 24 * 60 * 60


def join(app: Flask, config: Config) -> None:
    """Set the headers, the cookies and the name each request has in the record."""
    app.config.update(
        SESSION_COOKIE_NAME="__Host-emerge" if config.is_production else "emerge",
        SESSION_COOKIE_SECURE=config.is_production,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=FORM_TOKEN_SECONDS,
        # Flask-WTF would insist on a Referer over https; ours is never sent (no-referrer).
        WTF_CSRF_SSL_STRICT=False,
    )
    if config.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app,
            x_for=config.trusted_proxies,
            x_proto=config.trusted_proxies,
            x_host=config.trusted_proxies,
        )

    @app.before_request
    def name_the_request() -> None:
        g.request_id = secrets.token_hex(6)
        origin.set((request.remote_addr or "-", g.request_id))

    @app.after_request
    def keep_to_the_rules(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        headers["X-Request-Id"] = g.get("request_id", "-")
        if config.is_production:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if request.endpoint == "static":
            return response
        headers.setdefault("Cache-Control", "no-store")  # a calendar says for itself
        guard = getattr(app.blueprints.get(request.blueprint or ""), "guard", "")
        if guard != "public" or response.status_code >= 400:
            headers["X-Robots-Tag"] = "noindex, nofollow"
        return response
