"""`flask rehearse`: everything a patient would be sent in the coming days, with the reason of each.

The worker's own jobs run on a throw-away SQLite copy, with a clock that is turned by hand and
senders that only write down. The live database is read once, to be copied; nothing leaves.
"""

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask.cli import with_appcontext

from config import Config
from scheduler.booking import queries as book
from scheduler.cli import schema
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import db, let_go, prepare, table_of, transaction
from scheduler.core.errors import Refusal
from scheduler.jobs.runner import Worker
from scheduler.messaging import consent, rules, texts
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.senders.outcomes import Outcome, Taken, Trace
from scheduler.messaging.states import Channel, State
from scheduler.patients import queries as patients
from scheduler.patients.models import Patient
from scheduler.plans import previews, safety, scheduling
from scheduler.plans.finding import Choice
from scheduler.plans.models import VisitState
from scheduler.reports.unreached import WHY_NOT_TEXTED
from scheduler.waitlist import service as waitlist

#: How often the jobs run; between two turns also whenever a message falls due.
TURN = timedelta(hours=2)
#: Jobs that speak of the worker itself or of the provider, not of patients.
NOT_REHEARSED = frozenset({"beat", "seal-audit", "recover-leases", "reconcile", "catch-up"})
#: Large, and nothing a message is made from.
NOT_COPIED = frozenset({"audit_entry", "staff_session", "sign_in_attempt", "delivery_report"})
PORTION = 500
ACTOR = "rehearsal"
#: Why a text or mail goes out, by what it is called.
WHY = {
    "call-tomorrow": "a day before the call",
    "visit-tomorrow": "a day before the visit",
    "visit-prepare": "three days before the visit",
    "visit-soon": "a week before the visit",
    "coming-up": "more than one reminder is due that day: all of them in one text",
    "dates-ready": "a change and a reminder are due that day: both in one text",
    "dates": "several dates are new or changed: all of them in one text",
    "for-one": "something is due, and others read this phone too",
    "for-one-call": "something is due, and others read this phone too",
    "visit-home": "they asked for what to know after the visit",
    "all-cancelled": "everything was called off",
    "invite": "the calendar does not have it as it stands",
    "invite-cancelled": "the calendar has it, and it is off",
    "call-offer": "on the waitlist, and a time is free",
    "visit-offer": "on the waitlist, and a time is free",
}
#: Speak of more than one appointment; their words say which.
SEVERAL = frozenset({"coming-up", "dates", "all-cancelled"})
BY_ENDING = {
    "booked": "the patient has not been told of it",
    "moved": "the patient knows another time",
    "cancelled": "the patient thinks it stands",
    "reinstated": "the patient thinks it is off",
    "closed": "the site is closed then, and there is no new time yet",
}


@dataclass(frozen=True)
class Sent:
    """One message that would have left."""

    at: datetime
    message_id: int
    channel: Channel
    recipient: str
    calendar: str | None  # the document, as it would be attached
    calendar_method: str | None


@dataclass
class Notebook:
    """A phone and a mailbox that only write down."""

    patient_id: int
    sent: list[Sent] = field(default_factory=list)

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Write it down, if it is for the patient of the rehearsal, and say that it arrived."""
        if outgoing.view.patient_id == self.patient_id:
            attached = outgoing.attachment.decode() if outgoing.attachment else None
            self.sent.append(
                Sent(
                    now,
                    outgoing.message_id,
                    outgoing.channel,
                    outgoing.recipient,
                    attached,
                    outgoing.attachment_method,
                )
            )
        return Taken(f"rehearsed-{outgoing.public_id}", "delivered")

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """Keep no list: every call is answered at once."""
        return None


@click.command("rehearse")
@click.option("--patient", "who", required=True, help="Record number, reference or mobile.")
@click.option("--days", type=click.IntRange(1, 200), default=14, show_default=True)
@click.option("--book", "book_first", is_flag=True, help="Book the plan's open visits first.")
@click.option("--json", "as_json", is_flag=True, help="For a machine to read.")
@with_appcontext
def command(who: str, days: int, book_first: bool, as_json: bool) -> None:
    """Show what a patient would be sent in the coming days, and why. Nothing leaves."""
    config: Config = current_app.extensions["emerge_config"]
    patient_id = _find(who)
    now = clock.now()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        copy = Path(folder) / "copy.db"
        _copy_to(copy)
        with _on_copy(copy):
            played = _play(config, patient_id, days, book_first=book_first, now=now)
    if as_json:
        click.echo(json.dumps(played, indent=2, ensure_ascii=False))
    else:
        _print(played)


def _find(who: str) -> int:
    """Return whom an operator means.

    Raises:
        click.ClickException: nobody, or more than one.
    """
    found = db.session.scalars(
        sa.select(Patient).where(sa.or_(Patient.public_id == who, Patient.mrn == who))
    ).all() or patients.with_mobile(who if who.startswith("+") else f"+1{who}")
    ids = [p.id for p in found]
    let_go()
    if len(ids) != 1:
        what = "Nobody has" if not ids else f"{len(ids)} people have"
        raise click.ClickException(f"{what} that record number, reference or mobile.")
    return ids[0]


# ---------------------------------------------------------------- the copy


def _copy_to(file: Path) -> None:
    """Write the database as it is now into a fresh SQLite file that only we can read."""
    file.touch(mode=0o600)
    if db.engine.dialect.name == "sqlite":
        with sqlite3.connect(file) as target:
            source = db.engine.raw_connection()
            try:
                raw = source.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.backup(target)
            finally:
                source.close()
        target.close()
        return
    with db.engine.connect() as live, _on_copy(file):
        schema.upgrade(db.engine)
        with db.engine.connect() as copy:
            copy.execution_options(sqlite_begin="IMMEDIATE")
            raw = copy.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA foreign_keys=OFF")
            with copy.begin():
                for table in db.metadata.sorted_tables:
                    if table.name not in NOT_COPIED:
                        _copy_table(live, copy, table)


def _copy_table(live: sa.Connection, copy: sa.Connection, table: sa.Table) -> None:
    rows = live.execute(sa.select(table)).mappings()
    put = sa.insert(table).prefix_with("OR REPLACE")
    while portion := rows.fetchmany(PORTION):
        copy.execute(put, [dict(row) for row in portion])


@contextmanager
def _on_copy(file: Path) -> Iterator[None]:
    """Work on a file and nothing else: an app of its own, with a database and no pages."""
    app = Flask("rehearsal")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{file}",
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 15}, "hide_parameters": True},
    )
    db.init_app(app)
    with app.app_context():
        prepare(db.engine)
        try:
            yield
        finally:
            db.session.remove()
            db.engine.dispose()


# ---------------------------------------------------------------- the play


def _play(
    config: Config, patient_id: int, days: int, *, book_first: bool, now: datetime
) -> dict[str, Any]:
    _leave_the_others_out(patient_id, now)
    notes = _who_gets_no_texts(patient_id)
    notes += _book_open_visits(patient_id, now) if book_first else []
    notebook = Notebook(patient_id)
    hands = [now]
    worker = Worker(
        current_app._get_current_object(),  # type: ignore[attr-defined]
        replace(config, texts_per_second=0.0),
        senders={Channel.SMS: notebook, Channel.EMAIL: notebook},
        hands=lambda: hands[0],
    )
    ticks = {tick.name: tick.run for tick in worker.ticks() if tick.name not in NOT_REHEARSED}
    # Once more at the end: what the other jobs put in would be stale by the next turn.
    jobs = [*ticks.values(), ticks["deliver"]]
    until = now + timedelta(days=days)
    while hands[0] <= until:
        for job in jobs:
            job()
        hands[0] = _next(hands[0])
    return {
        "patient": db.session.get_one(Patient, patient_id).public_id,
        "from": now.isoformat(),
        "until": until.isoformat(),
        "notes": notes,
        "sent": [_told(one) for one in notebook.sent],
        "not_sent": _not_sent(patient_id, since=now),
        "still_waiting": _waiting(patient_id),
    }


def _leave_the_others_out(patient_id: int, now: datetime) -> None:
    """What waits for other people is no part of the play, and would only take time."""
    message = table_of(Message)
    with transaction():
        db.session.execute(
            sa.update(message)
            .where(
                message.c.patient_id.is_distinct_from(patient_id),
                message.c.state.in_((State.QUEUED, State.CLAIMED, State.SENDING, State.AMBIGUOUS)),
            )
            .values(state=State.CANCELLED, settled_at=now)
        )


def _who_gets_no_texts(patient_id: int) -> list[str]:
    """Say why somebody gets no texts, if so: else an empty play would look like a fault."""
    standing = consent.standing(db.session.get_one(Patient, patient_id))
    let_go()
    if standing.may_text:
        return []
    why = WHY_NOT_TEXTED.get(standing.word, "Nobody is to be reached")
    return [f"{why}: no text goes to them."]


def _book_open_visits(patient_id: int, now: datetime) -> list[str]:
    """Book the best dates of a signed plan on the copy; say what came of it."""
    plan = safety.signed_plan(patient_id)
    if plan is None or not any(v.state is VisitState.TO_PLACE for v in plan.visits):
        return ["There is no signed plan with visits to book."]
    shown = previews.preview(plan, now=now)
    choices = {
        row.number: Choice(row.spot.site_id, row.spot.starts_at)
        for row in shown.rows
        if row.spot is not None and not row.is_booked
    }
    version = plan.version
    let_go()
    try:
        with transaction():
            plan = safety.signed_plan(patient_id)
            assert plan is not None
            done = scheduling.schedule(
                plan, choices, keep_rest=True, version=version, actor=ACTOR, now=now
            )
            booked = len(done.booked)
    except Refusal as refusal:
        return [f"The plan's visits could not be booked: {refusal.message}"]
    return [f"{booked} of the plan's visits were booked, on the copy only."]


def _next(moment: datetime) -> datetime:
    """Return when to look again: the next turn, or sooner when a message falls due."""
    turn = moment.replace(minute=0, second=0, microsecond=0) + TURN
    due = db.session.scalar(
        sa.select(sa.func.min(Message.send_after)).where(
            Message.state == State.QUEUED, Message.send_after > moment
        )
    )
    let_go()
    return min(turn, due) if due is not None else turn


# ---------------------------------------------------------------- in words


def _told(one: Sent) -> dict[str, Any]:
    message = db.session.get_one(Message, one.message_id)
    name = message.sent_as or message.template
    words: dict[str, Any] = {
        "at": one.at.isoformat(),
        "kind": "text" if one.channel is Channel.SMS else "mail",
        "to": one.recipient,
        "name": name,
        "about": None if name.removesuffix("-ready") in SEVERAL else _about(message.topic),
        "why": why(name),
        "words": message.body or "",
    }
    if one.calendar is not None:
        entry = dict(
            re.findall(
                r"^(UID|SEQUENCE|DTSTART|DTEND|SUMMARY|STATUS):(.*?)\r?$", one.calendar, re.M
            )
        )
        words["calendar"] = {"METHOD": one.calendar_method, **entry}
    return words


def why(name: str) -> str:
    """Return why a text or mail of this name goes out."""
    if name in rules.REPLIES:
        return "they wrote to us"
    words = name.removesuffix("-ready")  # the same, with what is asked before a visit
    return WHY.get(name) or WHY.get(words) or BY_ENDING[words.rpartition("-")[2]]


def _about(topic: str) -> str | None:
    appointment = book.by_topic(topic.replace("invite:", "appointment:"))
    offer = waitlist.offer_of(topic)
    if appointment is not None:
        service = clinic_supply.current().services[appointment.service_code].name
        at = texts.when(appointment.starts_at, appointment.site.zone, "en")
        return f"{service}, {at}, {appointment.site.name}"
    if offer is not None:
        at = texts.when(offer.starts_at, offer.site.zone, "en")
        return f"Offer from the waitlist, {at}, {offer.site.name}"
    return None


def _not_sent(patient_id: int, *, since: datetime) -> list[dict[str, Any]]:
    """Return what was settled without being sent, with the reason that was written down."""
    found = db.session.scalars(
        sa.select(Message)
        .where(
            Message.patient_id == patient_id,
            Message.settled_at >= since,
            Message.state.in_((State.CANCELLED, State.SUPPRESSED, State.EXPIRED, State.FAILED)),
        )
        .order_by(Message.settled_at, Message.id)
    )
    return [
        {
            "at": (m.settled_at or since).isoformat(),
            "kind": "text" if m.channel is Channel.SMS else "mail",
            "name": m.sent_as or m.template,
            "about": _about(m.topic),
            "why": m.error_text or m.state.value,
        }
        for m in found
    ]


def _waiting(patient_id: int) -> list[dict[str, Any]]:
    found = db.session.scalars(
        sa.select(Message)
        .where(Message.patient_id == patient_id, Message.state == State.QUEUED)
        .order_by(Message.send_after, Message.id)
    )
    return [
        {"after": m.send_after.isoformat(), "name": m.template, "about": _about(m.topic)}
        for m in found
    ]


def _print(played: dict[str, Any]) -> None:
    click.echo(f"A rehearsal on a copy, {_when(played['from'])} to {_when(played['until'])}.")
    click.echo("The patient answers nothing. Nothing has left.")
    for note in played["notes"]:
        click.echo(note)
    for one in played["sent"]:
        _print_sent(one)
    if not played["sent"]:
        click.echo("\nNothing would be sent.")
    if played["not_sent"]:
        click.secho("\nNot sent:", bold=True)
    for one in played["not_sent"]:
        click.echo(f"  {_when(one['at'])}  {one['name']}: {one['why']}{_bracketed(one)}")
    if played["still_waiting"]:
        click.secho("\nStill waiting after that:", bold=True)
    for one in played["still_waiting"]:
        click.echo(f"  {_when(one['after'])}  {one['name']}{_bracketed(one)}")


def _print_sent(one: dict[str, Any]) -> None:
    click.secho(f"\n{_when(one['at'])}  {one['kind']} to {one['to']}  [{one['name']}]", bold=True)
    click.echo(f"  because {one['why']}" + (f": {one['about']}" if one["about"] else ""))
    for line in one["words"].splitlines():
        click.echo(f"  | {line}")
    if "calendar" in one:
        click.echo("  calendar: " + " ".join(f"{k}={v}" for k, v in one["calendar"].items()))


def _bracketed(one: dict[str, Any]) -> str:
    return f" ({one['about']})" if one["about"] else ""


def _when(text: str) -> str:
    zone = next(iter(clinic_supply.current().sites.values())).zone
    return texts.when(datetime.fromisoformat(text), zone, "en")
