"""Doors for people and machines."""

from flask import Blueprint, Flask
from flask_wtf.csrf import CSRFProtect

from config import Config
from scheduler.web import assets, display, errors, fields, i18n, security
from scheduler.web.guards import Guard, manage_link, protect, public, signed_request
from scheduler.web.hooks import twilio as twilio_hooks
from scheduler.web.portal import portal, visit_pages

csrf = CSRFProtect()  # type: ignore[no-untyped-call]


def _doors(config: Config) -> list[tuple[Blueprint, Guard]]:
    """Say who may go where: every blueprint with its guard, in one list anyone can read."""
    return [
        (portal, public),
        (visit_pages, manage_link),
        (twilio_hooks.bp, signed_request),
    ]


def join(app: Flask, config: Config) -> None:
    """Give the app its pages."""
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    fields.join(app)
    security.join(app, config)
    csrf.init_app(app)  # type: ignore[no-untyped-call]
    csrf.exempt(twilio_hooks.bp)  # type: ignore[no-untyped-call]  # judged by signature
    i18n.join(app)
    display.join(app)
    assets.join(app)
    errors.join(app)
    for blueprint, guard in _doors(config):
        app.register_blueprint(protect(blueprint, guard))
