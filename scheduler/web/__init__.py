"""Doors for people and machines."""

from flask import Blueprint, Flask
from flask_wtf.csrf import CSRFProtect

from config import Config
from scheduler.web import assets, display, errors, fields, guards, i18n, login, security
from scheduler.web.desk import (
    appointments,
    board,
    booking,
    calendars,
    chat,
    clearance,
    course_lists,
    inbox,
    lists,
    patients,
    phone,
    plan,
    plan_acts,
    progress,
    protocols,
    readiness,
    replace,
    rooms,
    session,
    sign_in,
    supply,
    supply_people,
    supply_terms,
    texts,
    waitlist,
)
from scheduler.web.feeds import patient as patient_feed
from scheduler.web.feeds import staff as staff_feeds
from scheduler.web.guards import Guard, protect
from scheduler.web.hooks import health
from scheduler.web.hooks import twilio as twilio_hooks
from scheduler.web.portal import offer_pages, portal, visit_pages

csrf = CSRFProtect()


def _doors(config: Config) -> list[tuple[Blueprint, Guard]]:
    """Say who may go where: every blueprint with its guard, in one list anyone can read."""
    demo = [(phone.bp, guards.signed_in)] if config.is_demo else []
    return [
        (portal, guards.public),
        (visit_pages, guards.manage_link),
        (offer_pages, guards.offer_link),
        (twilio_hooks.bp, guards.signed_request),
        (health.bp, guards.public),
        (patient_feed.bp, guards.public),
        (staff_feeds.bp, guards.public),
        (sign_in.bp, guards.public),
        (board.bp, guards.signed_in),
        (appointments.bp, guards.signed_in),
        (booking.bp, guards.signed_in),
        (patients.bp, guards.signed_in),
        (lists.bp, guards.signed_in),
        (inbox.bp, guards.signed_in),
        (clearance.bp, guards.signed_in),
        (readiness.bp, guards.signed_in),
        (session.bp, guards.signed_in),
        (chat.bp, guards.signed_in),
        (plan.bp, guards.signed_in),
        (plan_acts.bp, guards.signed_in),
        (progress.bp, guards.signed_in),
        (course_lists.bp, guards.signed_in),
        (protocols.bp, guards.signed_in),
        (replace.bp, guards.signed_in),
        (waitlist.bp, guards.signed_in),
        (calendars.bp, guards.signed_in),
        (supply.bp, guards.supply_keeper),
        (supply_people.bp, guards.supply_keeper),
        (supply_terms.bp, guards.supply_keeper),
        (texts.bp, guards.texts_keeper),
        *demo,
    ]


def join(app: Flask, config: Config) -> None:
    """Give the app its pages."""
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    fields.join(app)
    security.join(app, config)
    csrf.init_app(app)
    csrf.exempt(twilio_hooks.bp)  # judged by signature
    login.join(app)
    i18n.join(app)
    display.join(app)
    assets.join(app)
    errors.join(app)
    rooms.join(app, config)
    for blueprint, guard in _doors(config):
        app.register_blueprint(protect(blueprint, guard))
