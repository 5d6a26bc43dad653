"""The page at the chair, made for a tablet: what is done, written down as it happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale

from scheduler.accounts import queries as accounts
from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act, may
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.core.timespan import instant
from scheduler.messaging import consent
from scheduler.plans import approval, followups
from scheduler.plans import service as plans
from scheduler.reports import board as boards
from scheduler.reports import session as reports
from scheduler.reports import way_home
from scheduler.treatment import chair, readiness, rules, vocabulary
from scheduler.treatment import queries as treatment
from scheduler.treatment.models import EventKind
from scheduler.web import login
from scheduler.web.desk import looks, refusals, signing
from scheduler.web.desk.readiness import answered
from scheduler.web.desk.rooms import say
from scheduler.web.desk.signing import Word
from scheduler.web.fields import read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_session", __name__, url_prefix="/desk/session")

LONGEST_NOTE = 1000
VITALS = tuple(vocabulary.VITALS.items())


@dataclass(frozen=True)
class Doing:
    """What a deed has at hand: the visit, who does it, when, and a clinician's word if typed."""

    appointment: Appointment
    actor: str
    now: datetime
    word: Word | None

    @property
    def at(self) -> datetime | None:
        """When it happened, if that was not just now."""
        return _typed_time(self.appointment, now=self.now)


@bp.get("/<string:public_id>")
@requires(Act.SEE_CLINICAL)
def show(public_id: str) -> ResponseReturnValue:
    """Show where the patient is, what comes next, and everything recorded."""
    return _page(public_id)


@bp.get("/<string:public_id>/hand-out")
@requires(Act.RECORD_SESSION)
def sheet(public_id: str) -> ResponseReturnValue:
    """Show the words to take home, in the patient's language, to be printed."""
    let_go()
    appointment = _infusion(public_id)
    found = way_home.sheet(appointment, now=clock.now())
    language = appointment.patient.language
    words = ""
    if found is not None:
        with force_locale(language):
            words = render_template("portal/_sheet.html", sheet=found, zone=appointment.site.zone)
    html = render_template(
        "desk/sheet.html", a=appointment, words=words, speaks=language.replace("_", "-")
    )
    looks.note("session.viewed", appointment.topic, patient_id=appointment.patient_id)
    return html


@bp.post("/<string:public_id>/<string:deed>")
@requires(Act.RECORD_SESSION)
def record(public_id: str, deed: str) -> ResponseReturnValue:
    """Write one thing down; a refusal shows the page with what was typed."""
    if deed not in DEEDS:
        raise NotFound("There is no such thing to record.")
    act, words = DEEDS[deed]
    try:
        word = signing.signed() if deed == "safe" else None
        although = signing.override() if deed in ("start", "safe") else None
        with transaction():
            doing = Doing(book.by_public_id(public_id), login.me().actor, clock.now(), although)
            before = len(treatment.events(doing.appointment.id))
            if deed == "safe" and word is not None:
                _safe(doing, word)
            else:
                act(doing)
            if deed == "effect":
                approval.look_again(
                    doing.appointment.patient,
                    infusion_id=doing.appointment.id,
                    actor=doing.actor,
                    now=doing.now,
                )
            is_new = deed == "gone" or len(treatment.events(doing.appointment.id)) > before
    except Refusal as refusal:
        return _page(public_id, deed, refusal), refusal.status
    say(words if is_new else "Nothing new was filled in.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.get("/<string:public_id>/line/<int:line_id>")
@requires(Act.RECORD_SESSION)
def ask_amend(public_id: str, line_id: int) -> ResponseReturnValue:
    """Ask how a line is put right."""
    return _amend_page(public_id, line_id)


@bp.post("/<string:public_id>/line/<int:line_id>")
@requires(Act.RECORD_SESSION)
def amend(public_id: str, line_id: int) -> ResponseReturnValue:
    """Put a line right, signed: the old one stays to be read."""
    try:
        word = signing.signed()
        with transaction():
            appointment = book.by_public_id(public_id)
            entry = _entry(appointment, line_id)
            chair.amend(
                entry.id,
                reason=_words("reason", 500),
                data=_amended(entry),
                at=_typed_time(appointment, now=clock.now(), on=entry.now.at),
                note=_note(),
                strike="strike" in request.form,
                signer=word.staff,
                now=clock.now(),
            )
            approval.look_again(
                appointment.patient,
                infusion_id=appointment.id,
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _amend_page(public_id, line_id, refusal), refusal.status
    say("Put right. What it said before stays in the record.")
    return redirect(url_for(".show", public_id=public_id), code=303)


# ---------------------------------------------------------------- deeds


def _before(doing: Doing) -> None:
    """Write down what was answered anew before the start; what is unchanged is not repeated."""
    form, appointment = request.form, doing.appointment
    lines = treatment.lines_of_day(appointment, doing.now)
    who = {"actor": doing.actor, "now": doing.now}
    said = rules.latest_items(lines, EventKind.READINESS)
    for item in vocabulary.READINESS:
        value = form.get(f"ready-{item}")
        on_site = _on_site() if item == vocabulary.CLINICIAN and value == "yes" else None
        is_news = said.get(item) != (value == "yes") or (
            on_site is not None and on_site.id != _clinician_named(lines)
        )
        if value in ("yes", "no") and is_news:
            chair.note_readiness(appointment, item, is_met=value == "yes", who=on_site, **who)  # type: ignore[arg-type]
    if form.get("comfort-asked"):
        wishes = {item: f"comfort-{item}" in form for item in vocabulary.COMFORT}
        playlist = _words("playlist", 200)
        before = _last(lines, EventKind.COMFORT)
        known = (dict(before.data), before.note or "") if before else ({}, "")
        if (any(wishes.values()) or before) and (wishes, playlist) != known:
            chair.note_comfort(appointment, wishes, note=playlist, **who)  # type: ignore[arg-type]
    score = _number("score")
    if score is not None and score != rules.score(lines, "baseline"):
        chair.note_score(appointment, score, when="baseline", **who)  # type: ignore[arg-type]
    readings = _readings()
    earlier = _last(lines, EventKind.VITALS)
    if readings and (earlier is None or _figures(earlier) != readings):
        chair.note_vitals(appointment, readings, **who)  # type: ignore[arg-type]


def _start(doing: Doing) -> None:
    plans.start_infusion(
        doing.appointment,
        override=doing.word.as_override() if doing.word else None,
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _effect(doing: Doing) -> None:
    effect, _, severity = request.form.get("effect", "").rpartition(":")
    chair.note_side_effect(
        doing.appointment,
        effect,
        int(severity) if severity in ("1", "2", "3") else 0,
        action=request.form.get("action", "none"),
        note=_note(),
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _vitals(doing: Doing) -> None:
    chair.note_vitals(
        doing.appointment,
        _readings(),
        awake=request.form.get("awake") or None,
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _score(doing: Doing) -> None:
    score = _number("score")
    if score is None:
        raise Invalid("Choose a number from 0 to 10.", field="score")
    ended = _last(treatment.lines(doing.appointment.id), EventKind.END) is not None
    chair.note_score(
        doing.appointment,
        score,
        when="after" if ended else "during",
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _dose(doing: Doing) -> None:
    chair.note_dose(
        doing.appointment,
        _words("amount", 40),
        _words("unit", 40),
        change=request.form.get("change", "set"),
        note=_note(),
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _rescue(doing: Doing) -> None:
    chair.note_rescue(
        doing.appointment,
        _words("medicine", 60),
        _words("given", 40),
        against=request.form.get("against", ""),
        note=_note(),
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _end(doing: Doing) -> None:
    chair.end(
        doing.appointment,
        request.form.get("reason", ""),
        note=_note(),
        at=doing.at,
        actor=doing.actor,
        now=doing.now,
    )


def _discharge(doing: Doing) -> None:
    """Write down the points that are new, and the last vital signs if they are."""
    lines = treatment.lines(doing.appointment.id)
    said = rules.points(lines)
    for item in vocabulary.DISCHARGE:
        value = request.form.get(f"met-{item}", "")
        points = read_number(value)
        if value and points is None:
            raise Invalid("Please choose one of the list.", field=f"met-{item}")
        if points is not None and said.get(item) != points:
            chair.note_discharge(doing.appointment, item, points, actor=doing.actor, now=doing.now)
    readings = _readings()
    since_end = lines[rules.first_place(lines, EventKind.END) :]
    latest = _last(since_end, EventKind.VITALS)
    if readings and (latest is None or _figures(latest) != readings):
        chair.note_vitals(doing.appointment, readings, actor=doing.actor, now=doing.now)


def _safe(doing: Doing, word: Word) -> None:
    chair.sign_safe(
        doing.appointment,
        word.staff,
        escort="escort" in request.form,
        override=doing.word.as_override() if doing.word else None,
        now=doing.now,
    )


def _handout(doing: Doing) -> None:
    chair.note_handout(
        doing.appointment, request.form.get("how", ""), actor=doing.actor, now=doing.now
    )


def _add_note(doing: Doing) -> None:
    chair.note(doing.appointment, _note() or "", actor=doing.actor, now=doing.now)


def _gone(doing: Doing) -> None:
    plans.complete_visit(doing.appointment, actor=doing.actor, now=doing.now)


DEEDS: Mapping[str, tuple[Callable[[Doing], None], str]] = {
    "before": (_before, "Kept."),
    "start": (_start, "Started. The clock runs."),
    "effect": (_effect, "Recorded."),
    "vitals": (_vitals, "Recorded."),
    "score": (_score, "Recorded."),
    "dose": (_dose, "Recorded, as you set it."),
    "rescue": (_rescue, "Recorded, as you gave it."),
    "end": (_end, "The drip has ended. Recovery begins."),
    "discharge": (_discharge, "Kept."),
    "safe": (lambda _: None, "Signed: safe to go home."),
    "handout": (_handout, "Recorded."),
    "note": (_add_note, "Noted."),
    "gone": (_gone, "They have left. The visit is closed."),
}


# ---------------------------------------------------------------- what was typed


def _note() -> str | None:
    return _words("note", LONGEST_NOTE) or None


def _words(name: str, most: int) -> str:
    """Return what was typed into a field; what is too long is refused, never cut unseen."""
    words = request.form.get(name, "").strip()
    if len(words) > most:
        raise Invalid(f"Use at most {most:,} letters.", field=name)
    return words


def _number(name: str) -> int | None:
    value = request.form.get(name, "").strip()
    if not value:
        return None
    number = read_number(value)
    if number is None:
        raise Invalid("Please enter a whole number.", field=name)
    return number


def _figures(line: rules.Line) -> dict[str, int]:
    """Return the figures of a line of vital signs, without how awake they were."""
    return {name: line.data[name] for name, _ in VITALS if name in line.data}


def _on_site() -> Staff | None:
    """Return who was chosen as the clinician on site, if anybody."""
    number = _number("on-site")
    return accounts.staff(number) if number is not None else None


def _clinician_named(lines: list[rules.Line]) -> int | None:
    """Return who the record names as the clinician on site today."""
    found = [
        line.data.get("staff")
        for line in lines
        if line.kind is EventKind.READINESS and line.data["item"] == vocabulary.CLINICIAN
    ]
    return found[-1] if found else None


def _readings() -> dict[str, int]:
    return {name: value for name, _ in VITALS if (value := _number(name)) is not None}


def _typed_time(
    appointment: Appointment, *, now: datetime, on: datetime | None = None
) -> datetime | None:
    """Return a typed time on the site's clock, today or on the day of `on`; None when empty."""
    value = request.form.get("at", "").strip()
    if not value:
        return None
    zone = appointment.site.zone
    try:
        wall = datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007  a time of day
    except ValueError:
        raise Invalid("Enter a time, like 10:45.", field="at") from None
    moment = instant((on or now).astimezone(zone).date(), wall, zone)
    return min(moment, now) if (moment - now).total_seconds() < 60 else moment


def _amended(entry: reports.Entry) -> dict[str, Any] | None:
    """Return what a line should say, from the fields of its kind; None leaves it."""
    read = _AMENDED.get(entry.kind)
    return read(dict(entry.data)) if read and "strike" not in request.form else None


def _score_again(data: dict[str, Any]) -> dict[str, Any]:
    score = _number("score")
    if score is None or not 0 <= score <= 10:
        raise Invalid("The score is a number from 0 to 10.", field="score")
    return data | {"score": score}


def _effect_again(data: dict[str, Any]) -> dict[str, Any]:
    severity, action = _number("severity"), request.form.get("action", "")
    if severity not in vocabulary.SEVERITIES or action not in vocabulary.ACTIONS:
        raise Invalid("Please choose one of the list.", field="severity")
    return data | {"severity": severity, "action": action}


def _dose_again(data: dict[str, Any]) -> dict[str, Any]:
    if data.get("change") == vocabulary.RESCUE:
        medicine, given = _words("medicine", 60), _words("given", 40)
        if not medicine or not given:
            raise Invalid("Enter the medicine and how much.", field="medicine")
        against = request.form.get("against", data["for"])
        if against not in vocabulary.SIDE_EFFECTS:
            raise Invalid("Please choose one of the list.", field="against")
        return data | {"medicine": medicine, "amount": given, "for": against}
    amount = _words("amount", 40)
    unit = _words("unit", 40)
    if data.get("change") != "paused" and (not amount or not unit):
        raise Invalid("Enter the amount and its unit.", field="amount")
    return data | {"amount": amount, "unit": unit}


def _points_again(data: dict[str, Any]) -> dict[str, Any]:
    points = _number("points")
    if points is None or points > vocabulary.MOST_POINTS:
        raise Invalid("Please choose one of the list.", field="points")
    return {"item": data["item"], "points": points}


def _met_again(data: dict[str, Any]) -> dict[str, Any]:
    value = request.form.get("is_met")
    if value not in ("yes", "no"):
        raise Invalid("Please choose one of the list.", field="is_met")
    return data | {"is_met": value == "yes"}


def _vitals_again(data: dict[str, Any]) -> dict[str, Any]:
    readings = _readings()
    chair.check_vitals(readings)
    return {**readings, **({"awake": data["awake"]} if "awake" in data else {})}


def _end_again(data: dict[str, Any]) -> dict[str, Any]:
    if request.form.get("ending", "") not in vocabulary.ENDINGS:
        raise Invalid("Please choose one of the list.", field="ending")
    return data | {"reason": request.form["ending"]}


_AMENDED: Mapping[EventKind, Callable[[dict[str, Any]], dict[str, Any]]] = {
    EventKind.SCORE: _score_again,
    EventKind.SIDE_EFFECT: _effect_again,
    EventKind.DOSE: _dose_again,
    EventKind.READINESS: _met_again,
    EventKind.DISCHARGE: _points_again,
    EventKind.VITALS: _vitals_again,
    EventKind.END: _end_again,
}


def _last(lines: list[rules.Line], kind: EventKind) -> rules.Line | None:
    return next((line for line in reversed(lines) if line.kind is kind), None)


# ---------------------------------------------------------------- pages


def _page(public_id: str, deed: str = "", refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    appointment = _infusion(public_id)
    lines = treatment.lines(appointment.id)
    state = treatment.chair_state(appointment, now=now)
    started = rules.first(lines, EventKind.START)
    # Before the start only today's answers count; afterwards all that led to it stay to be seen.
    before = lines if started else treatment.lines_of_day(appointment, now)
    is_ended = rules.first(lines, EventKind.END) is not None
    comfort = _last(lines, EventKind.COMFORT)
    vitals = _last(lines, EventKind.VITALS)
    placed = book.placed([appointment])[0]
    site = clinic_supply.current().sites[appointment.site_id]
    names = site.names

    def typed(of: str, name: str, default: object = "") -> object:
        """Return what stood in a field of the form that was refused."""
        return request.form.get(name, "") if deed == of else default

    html = render_template(
        "desk/session.html",
        a=appointment,
        service=clinic_supply.current().services[appointment.service_code].name,
        where=" · ".join(
            n for n in (names.get(placed.chair_id or 0), names.get(placed.person_id or 0)) if n
        ),
        state=state,
        stage=state.stage.value,
        standing=boards.standing(appointment, now=now, in_chair=state),
        zone=appointment.site.zone,
        started=started,
        ended=rules.first(lines, EventKind.END),
        safe=rules.first(lines, EventKind.SAFE),
        is_open=appointment.status in (Status.BOOKED, Status.ARRIVED),
        is_closed=appointment.status is Status.FULFILLED,
        in_the_way=chair.in_the_way_of_start(appointment, now=now) if started is None else [],
        ready=rules.latest_items(before, EventKind.READINESS),
        met=rules.points(lines),
        criteria=rules.going_home(lines, chair.limits(site)) if is_ended else [],
        answered=None if started else answered(appointment, clinical=True),
        signed_consent=None if started else readiness.consent_signed(appointment),
        consent_in_use=site.settings.consent_version,
        clinicians=[] if started else _clinicians(site, now=now),
        on_site=_clinician_named(before),
        look_at=treatment.next_observation(site, lines) if appointment.is_live else None,
        others=[
            look
            for look in chair.looks_due(appointment.site_id, now=now)
            if look[0].id != appointment.id
        ],
        final_vitals=_final_vitals(lines),
        escort_named=_escort_named(appointment) if is_ended else None,
        may_text=is_ended and consent.may_text(appointment.patient, now=now),
        comfort=comfort.data if comfort else {},
        playlist=(comfort.note or "") if comfort else "",
        comfort_asked=comfort is not None,
        baseline=rules.score(before, "baseline"),
        during=rules.score(lines, "during"),
        after=rules.score(lines, "after"),
        last_vitals=vitals,
        last_vitals_words=reports.vitals(vitals.data) if vitals else None,
        handed=any(line.kind is EventKind.HANDOUT for line in lines),
        may_release=_may_release(),
        release=treatment.expected_release(appointment, now=now)
        if appointment.is_live and state.stage.value in ("infusing", "recovering")
        else None,
        hits=treatment.who_is_hit(appointment, now=now)
        if state.stage.value in ("infusing", "recovering")
        else [],
        entries=reports.record(appointment),
        next_chat=followups.find_for_infusion(appointment.id),
        v=vocabulary,
        vital_fields=VITALS,
        now=now,
        deed=deed,
        refusal=refusal,
        lines=refusals.lines(refusal),
        typed=typed,
    )
    looks.note("session.viewed", appointment.topic, patient_id=appointment.patient_id)
    return html


@dataclass(frozen=True)
class OnSite:
    """A clinician who may be here; `until` is when they go by the roster, None off the roster."""

    id: int
    name: str
    until: datetime | None


def _clinicians(site: SiteSupply, *, now: datetime) -> list[OnSite]:
    """Return every clinician, those on the site's roster at this moment first."""
    day = now.astimezone(site.zone).date()
    until: dict[int, datetime] = {}
    for person in site.people:
        if any(a.span.start <= now < a.span.end for a in person.away):
            continue
        for shift in person.shifts:
            span = shift.on(day, site.zone) if shift.site_id == site.id else None
            if span is not None and span.start <= now < span.end:
                until[person.id] = span.end
    found = [
        OnSite(s.id, s.name, until.get(s.resource_id or 0))
        for s in accounts.everybody()
        if s.is_active and may(s.role, Act.OVERRIDE_SAFETY)
    ]
    return sorted(found, key=lambda c: (c.until is None, c.name))


def _escort_named(appointment: Appointment) -> str | None:
    found = readiness.current(appointment)
    return found.escort_name if found else None


def _final_vitals(lines: list[rules.Line]) -> Mapping[str, Any]:
    """Return the last vital signs since the drip ended."""
    since_end = lines[rules.first_place(lines, EventKind.END) :]
    latest = _last(since_end, EventKind.VITALS)
    return latest.data if latest else {}


def _amend_page(public_id: str, line_id: int, refusal: Refusal | None = None) -> str:
    let_go()
    appointment = _infusion(public_id)
    entry = _entry(appointment, line_id)
    html = render_template(
        "desk/session_line.html",
        a=appointment,
        e=entry,
        kind=entry.kind.value,
        v=vocabulary,
        vital_fields=VITALS,
        zone=appointment.site.zone,
        refusal=refusal,
        typed=lambda name, default="": (
            request.form.get(name, "") if request.method == "POST" else default
        ),
    )
    looks.note("session.viewed", appointment.topic, patient_id=appointment.patient_id)
    return html


def _infusion(public_id: str) -> Appointment:
    appointment = book.by_public_id(public_id)
    if appointment.service_code not in boards.INFUSIONS:
        raise NotFound("Only an infusion has a record of the chair.")
    return appointment


def _entry(appointment: Appointment, line_id: int) -> reports.Entry:
    for entry in reports.record(appointment):
        if entry.id == line_id:
            return entry
    raise NotFound("There is no such line.")


def _may_release() -> bool:
    return chair.may_release(Word(login.me().id).staff)
