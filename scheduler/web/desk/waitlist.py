"""Who waits for a time: the list, putting somebody on it, offering by hand, and their answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField
from wtforms.validators import InputRequired

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment
from scheduler.booking.offers import Offer
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import PartOfDay, day_span
from scheduler.messaging import consent
from scheduler.patients import queries as patients
from scheduler.patients.models import Patient
from scheduler.plans import waiting
from scheduler.waitlist import notices, offers
from scheduler.waitlist import service as waitlist
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from scheduler.web import login
from scheduler.web.desk import looks, refusals
from scheduler.web.desk.rooms import say
from scheduler.web.desk.supply import Ticks
from scheduler.web.fields import DayField, Form, option, read_aware, read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_waitlist", __name__, url_prefix="/desk/waitlist")

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
PARTS = {
    PartOfDay.MORNING: "Morning",
    PartOfDay.AFTERNOON: "Afternoon",
    PartOfDay.EVENING: "Evening",
}
MOST_TIMES = 9
MOST_A_DAY = 3
USUAL_WAIT = timedelta(days=30)


class WishForm(Form):
    """What somebody waits for, and when they could come."""

    what = RadioField("What do they wait for?", [InputRequired("Choose what they wait for.")])
    sites = Ticks("Where")
    weekdays = Ticks("Days", choices=[option(str(n), d) for n, d in enumerate(WEEKDAYS)])
    parts = Ticks("Time of day", choices=[option(p.value, w) for p, w in PARTS.items()])
    since = DayField("From", [InputRequired("Choose the first day.")])
    until = DayField("Until", [InputRequired("Choose the last day.")])


@dataclass(frozen=True)
class Line:
    """One wish on the list, with what is offered to it now and how it stands to texts."""

    entry: WaitlistEntry
    service: str
    where: str  # empty: anywhere
    days: str
    parts: str
    offer: WaitlistOffer | None
    instead_of: Appointment | None
    why_no_text: str | None
    unanswered: int


@bp.get("", strict_slashes=False)
def show() -> ResponseReturnValue:
    """Show everybody who waits, in the order in which they are asked."""
    return _page()


@bp.get("/<string:public_id>/new")
@requires(Act.BOOK)
def ask(public_id: str) -> ResponseReturnValue:
    """Show what a patient could wait for."""
    patient = patients.by_public_id(public_id)
    now = clock.now()
    wants = waiting.wants(patient, now=now)
    zone = _zone(patient)
    chosen = next((w for w in wants if w.key == request.args.get("what")), None)
    first = max(now, chosen.since) if chosen else now
    last = (chosen.until if chosen else None) or first + USUAL_WAIT
    form = WishForm(
        formdata=None,
        what=chosen.key if chosen else wants[0].key if len(wants) == 1 else None,
        since=first.astimezone(zone).date(),
        until=(last - timedelta(microseconds=1)).astimezone(zone).date(),
    )
    return _form_page(patient, form)


@bp.post("/<string:public_id>/new")
@requires(Act.BOOK)
def add(public_id: str) -> ResponseReturnValue:
    """Put them on the list."""
    patient = patients.by_public_id(public_id)
    form = WishForm()
    _fill_choices(form, patient)
    if not form.validate():
        return _form_page(patient, form, status=422)
    now = clock.now()
    zone = _zone(patient)
    assert form.since.data is not None
    assert form.until.data is not None
    if form.until.data < form.since.data:
        form.until.errors = ["The last day must not be before the first."]
        return _form_page(patient, form, status=422)
    try:
        with transaction():
            waiting.put_on_list(
                patients.by_public_id(public_id),
                str(form.what.data),
                since=max(day_span(form.since.data, zone).start, now),
                until=day_span(form.until.data, zone).end,
                site_ids=[int(n) for n in form.sites.data or []],
                weekdays=[int(n) for n in form.weekdays.data or []],
                parts=[PartOfDay(part) for part in form.parts.data or []],
                actor=login.me().actor,
                now=now,
            )
    except Refusal as refusal:
        let_go()
        patient = patients.by_public_id(public_id)
        _fill_choices(form, patient)
        left = refusals.at_its_field(form, refusal)
        return _form_page(patient, form, left, status=refusal.status)
    say("They are on the waitlist.")
    return redirect(url_for(".show"), code=303)


@bp.get("/<int:entry_id>/offer")
@requires(Act.BOOK)
def choose(entry_id: int) -> ResponseReturnValue:
    """Show the times one of them could have now."""
    return _offer_page(entry_id)


@bp.post("/<int:entry_id>/offer")
@requires(Act.BOOK)
def offer(entry_id: int) -> ResponseReturnValue:
    """Keep the chosen time for them: told by a text, or by whoever calls them now."""
    site_id, _, moment = request.form.get("start", "").partition("|")
    start, site = read_aware(moment), read_number(site_id)
    by_text = request.form.get("how") == "text"
    now = clock.now()
    try:
        if start is None or site not in clinic_supply.current().sites:
            raise Invalid("Choose one of the times.", field="start")
        with transaction():
            made = offers.make(
                entry_id, site, start, by_text=by_text, actor=login.me().actor, now=now
            )
            said = made.is_by_text
    except Refusal as refusal:
        return _offer_page(entry_id, refusal), refusal.status
    say("Offered by text; the list shows their answer." if said else "Kept for them: call now.")
    return redirect(url_for(".show"), code=303)


@bp.post("/offers/<int:offer_id>/take")
@requires(Act.BOOK)
def take(offer_id: int) -> ResponseReturnValue:
    """Book what was offered: they said yes."""
    try:
        with transaction():
            booked = waiting.accept_offer(offer_id, actor=login.me().actor, now=clock.now())
            public_id = booked.public_id
    except Refusal as refusal:
        return _page(refusal), refusal.status
    say("Booked.", about=public_id)
    return redirect(url_for(".show"), code=303)


@bp.post("/offers/<int:offer_id>/pass")
@requires(Act.BOOK)
def decline(offer_id: int) -> ResponseReturnValue:
    """Note that they do not want this time."""
    try:
        with transaction():
            offers.decline(offer_id, actor=login.me().actor, now=clock.now())
    except Refusal as refusal:
        return _page(refusal), refusal.status
    say("The time is free again. They stay on the list.")
    return redirect(url_for(".show"), code=303)


@bp.post("/<int:entry_id>/remove")
@requires(Act.BOOK)
def remove(entry_id: int) -> ResponseReturnValue:
    """Take somebody off the list."""
    try:
        with transaction():
            offers.remove(
                entry_id, "taken off by the desk", actor=login.me().actor, now=clock.now()
            )
    except Refusal as refusal:
        return _page(refusal), refusal.status
    say("Taken off the list.")
    return redirect(url_for(".show"), code=303)


def _page(refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    supply = clinic_supply.current()
    lines = [_line(entry) for entry in waitlist.waiting(now=now)]
    html = render_template(
        "desk/waitlist.html",
        lines=lines,
        zone=next(iter(supply.sites.values())).zone,
        now=now,
        refusal=refusal,
    )
    looks.note("list.viewed", "list:waitlist", once_in_a_while=True)
    return html


def _line(entry: WaitlistEntry) -> Line:
    supply = clinic_supply.current()
    silent = 0
    for past in reversed(offers.of_entry(entry.id)):
        if past.state.value != "expired":
            break
        silent += 1
    return Line(
        entry,
        supply.services[entry.service_code].name,
        " or ".join(supply.sites[n].name for n in entry.site_ids if n in supply.sites),
        ", ".join(WEEKDAYS[n] for n in entry.weekdays),
        ", ".join(PARTS[PartOfDay(part)].lower() for part in entry.parts),
        offers.open_of(entry.id),
        book.by_topic(entry.topic or ""),
        None if consent.standing(entry.patient).may_text else "not texted: call them",
        silent,
    )


def _zone(patient: Patient) -> ZoneInfo:
    sites = clinic_supply.current().sites
    return (sites.get(patient.home_site_id or 0) or next(iter(sites.values()))).zone


def _fill_choices(form: WishForm, patient: Patient) -> None:
    wants = waiting.wants(patient, now=clock.now())
    form.what.choices = [option(w.key, w.words) for w in wants]
    sites = clinic_supply.current().sites.values()
    form.sites.choices = [option(str(site.id), site.name) for site in sites]


def _form_page(
    patient: Patient, form: WishForm, refusal: Refusal | None = None, *, status: int = 200
) -> ResponseReturnValue:
    _fill_choices(form, patient)
    html = render_template("desk/waitlist_new.html", p=patient, form=form, refusal=refusal)
    looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html, status


def _spread(found: Sequence[Offer]) -> list[Offer]:
    """Return the best of them, a few a day at most."""
    sites = clinic_supply.current().sites
    taken: Counter[object] = Counter()
    shown: list[Offer] = []
    for one in found:
        day = one.starts_at.astimezone(sites[one.site_id].zone).date()
        taken[day] += 1
        if taken[day] <= MOST_A_DAY and len(shown) < MOST_TIMES:
            shown.append(one)
    return shown


def _offer_page(entry_id: int, refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    entry = waitlist.find(entry_id)
    sites = clinic_supply.current().sites
    times = _spread(offers.fitting(entry, waiting.allowed, now=now, most=500))
    home = sites.get(entry.patient.home_site_id or 0) or next(iter(sites.values()))
    html = render_template(
        "desk/waitlist_offer.html",
        line=_line(entry),
        times=times,
        sites=sites,
        no_text=notices.why_not(entry.patient, home, now=now),
        chosen=request.form.get("start", ""),
        refusal=refusal,
    )
    patient = entry.patient
    looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html
