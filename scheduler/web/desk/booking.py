"""A new booking: who, what, when, done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from scheduler.accounts.rules import Act
from scheduler.booking import forms as used_forms
from scheduler.booking import offers
from scheduler.booking import queries as book
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock, tokens
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Refusal
from scheduler.core.timespan import PartOfDay
from scheduler.messaging import consent
from scheduler.patients import queries as patients
from scheduler.patients import service as people
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.web import display, login
from scheduler.web.desk import looks, signing
from scheduler.web.desk.rooms import say
from scheduler.web.fields import (
    DayField,
    Form,
    MobileField,
    option,
    read_aware,
    read_day,
    read_number,
    tidy_line,
)
from scheduler.web.guards import requires

bp = Blueprint("desk_booking", __name__, url_prefix="/desk/book")

MOST_TIMES = 16
LOOK = timedelta(days=21)
ANY = "any"
#: How far to look: until there are some, over one day, or over two weeks; days, None for some.
SHOWN = {"first": None, "day": 1, "weeks": 14}
SHOWN_WORDS = {"first": "First free times", "day": "This day", "weeks": "Two weeks"}
#: Which part of the day; nothing is any.
PART_WORDS = {
    "": "Any time",
    PartOfDay.MORNING.value: "Before noon",
    PartOfDay.AFTERNOON.value: "Noon to 5 PM",
    PartOfDay.EVENING.value: "From 5 PM",
}


class BookForm(Form):
    """Who (known, or new), what, where, when."""

    patient = HiddenField()
    given_name = StringField(
        "First name", [Length(max=80, message="Use at most 80 letters.")], filters=[tidy_line]
    )
    family_name = StringField(
        "Last name", [Length(max=80, message="Use at most 80 letters.")], filters=[tidy_line]
    )
    mobile = MobileField("Mobile number")
    service = RadioField("What", validate_choice=False)
    site = SelectField("Clinic", validate_choice=False)
    person = SelectField("With", validate_choice=False)
    day = DayField("From", [Optional()])
    show = SelectField("Show", validate_choice=False)
    part = SelectField("Time of day", validate_choice=False)
    start = StringField("Time", [InputRequired("Choose a time.")])  # "moment|site"
    notify = BooleanField("Tell the patient", default=True)
    once = HiddenField()


@dataclass(frozen=True)
class _Asked:
    """What the form is about, made sense of."""

    service: ServiceCode
    sites: list[SiteSupply]
    site: str
    people: dict[int, str]  # who could do it there, by number
    person: int | None  # None: whoever is free
    day: date
    show: str
    part: str  # of PART_WORDS
    patient_lane: int | None  # who has something else at a time is not offered it

    @property
    def parts(self) -> list[PartOfDay]:
        """The parts of the day that are looked at; none is all of it."""
        return [PartOfDay(self.part)] if self.part else []

    @property
    def part_words(self) -> str:
        """The part of the day within a sentence; empty when it is all of it."""
        words = PART_WORDS[self.part]
        return words[0].lower() + words[1:] if self.part else ""


@bp.get("", strict_slashes=False)
@requires(Act.BOOK)
def choose() -> ResponseReturnValue:
    """Ask who, what and when; the first free times are there already."""
    form = BookForm(request.args, meta={"csrf": False})
    form.notify.data = True  # an unticked box and one never shown look alike in an address
    return _page(form, _found(request.args.get("patient")))


@bp.get("/times")
@requires(Act.BOOK)
def times() -> ResponseReturnValue:
    """Show only the free times: what the page fetches when the day or the person is changed."""
    asked = _asked(request.args)
    return render_template("desk/_times.html", **_times(asked, now=clock.now()))


@bp.post("", strict_slashes=False)
@requires(Act.BOOK)
def confirm() -> ResponseReturnValue:
    """Book; what is wrong is said at its field and nothing typed is lost."""
    form = BookForm()
    patient = _found(form.patient.data)
    form.validate()
    chosen = _chosen(form)
    if form.person.data and _asked(request.form).person is None:
        form.person.errors = ["They do not do this there. Choose somebody else, or anyone."]
    if patient is None:
        _need_a_name(form)
    if chosen is None or any(f.errors for f in form):
        return _page(form, patient), 422
    try:
        appointment = _book(form, patient, *chosen)
    except Refusal as refusal:
        let_go()
        again = _found(form.patient.data)
        return _page(form, again, refusal=refusal), refusal.status
    say("Booked.", undo=None)
    return redirect(url_for("desk_appointments.show", public_id=appointment.public_id), code=303)


def _chosen(form: BookForm) -> tuple[datetime, SiteSupply] | None:
    """Return the time that was chosen and where, or put an error at the field."""
    written, _, code = str(form.start.data or "").partition("|")
    site = clinic_supply.current().site(code)
    moment = read_aware(written)
    if moment is not None and site is not None:
        return moment, site
    if not form.start.errors:
        form.start.errors = ["Choose one of the times."]
    return None


def _book(
    form: BookForm, patient: Patient | None, moment: datetime, site: SiteSupply
) -> Appointment:
    """Book once, however often the button was pressed."""
    now, actor = clock.now(), login.me().actor
    asked = _asked(request.values)
    once = str(form.once.data or "")
    body = "|".join(
        (str(form.patient.data), str(form.given_name.data), str(form.family_name.data),
         asked.service.value, str(form.start.data), str(asked.person))
    )  # fmt: skip
    known = patient.id if patient else None
    excuse = signing.excuse()
    with transaction() as session:
        earlier = used_forms.earlier_result(once, body, now=now) if once else None
        if earlier:
            found = book.by_topic(earlier)
            if found is not None:
                return found
        person = session.get(Patient, known) if known else None
        if person is None:
            person = people.add(
                str(form.given_name.data),
                str(form.family_name.data),
                mobile=form.mobile.data,
                home_site_id=site.id,
                actor=actor,
                now=now,
            )
        appointment = plans.book(
            asked.service,
            site.id,
            moment,
            person,
            actor=actor,
            now=now,
            person_id=asked.person,
            excuse=excuse,
            notify=bool(form.notify.data),
        )
        if once:
            used_forms.spend(once, body, appointment.topic, now=now)
    return appointment


def _need_a_name(form: BookForm) -> None:
    for field, words in (
        (form.given_name, "Enter their first name, or choose somebody above."),
        (form.family_name, "Enter their last name."),
    ):
        if not (field.data or "").strip():
            field.errors = [*field.errors, words]


def _found(public_id: str | None) -> Patient | None:
    return patients.by_public_id(public_id) if public_id else None


def _asked(typed: Mapping[str, str]) -> _Asked:
    """Make sense of what an address or a form says; what makes none is as if it were not there."""
    supply = clinic_supply.current()
    try:
        service = ServiceCode(typed.get("service") or "call")
    except ValueError:
        service = ServiceCode.CALL
    if service not in supply.services or supply.services[service].needs_authority:
        service = ServiceCode.CALL
    home = supply.sites.get(login.me().home_site_id) or next(iter(supply.sites.values()))
    wanted = typed.get("site") or home.code
    one = supply.site(wanted)
    sites = list(supply.sites.values()) if wanted == ANY else [one or home]
    need = supply.services[service].need(NeedKind.PERSON)
    people = {p.id: p.name for s in sites for p in (s.with_skill(need.skill) if need else ())}
    person = read_number(typed.get("person"))
    today = clock.now().astimezone(sites[0].zone).date()
    show = typed.get("show", "")
    part = typed.get("part", "")
    patient = _found(typed.get("patient"))
    return _Asked(
        service=service,
        sites=sites,
        site=ANY if wanted == ANY else sites[0].code,
        people=people,
        person=person if person in people else None,
        day=max(read_day(typed.get("day")) or today, today),
        show=show if show in SHOWN else "first",
        part=part if part in PART_WORDS else "",
        patient_lane=clinic_queries.lane_of(patient.resource_id) if patient else None,
    )


def _free(asked: _Asked, *, now: datetime) -> list[Offer]:
    """Return the free times from the asked day on: all of some days, or the first few."""
    days = SHOWN[asked.show]
    site_ids = [site.id for site in asked.sites]
    if days is None:
        return offers.first_free(
            asked.service,
            site_ids=site_ids,
            after=_after(asked, now=now),
            now=now,
            audience=Audience.DESK,
            most=MOST_TIMES,
            within=LOOK,
            parts=asked.parts,
            person_id=asked.person,
            patient_lane=asked.patient_lane,
        )
    return offers.find(
        asked.service,
        site_ids=site_ids,
        since=asked.day,
        until=asked.day + timedelta(days=days),
        now=now,
        audience=Audience.DESK,
        parts=asked.parts,
        person_id=asked.person,
        patient_lane=asked.patient_lane,
    )


def _after(asked: _Asked, *, now: datetime) -> date | datetime:
    """Return from when on the first few are looked for: sooner than usual only when asked for."""
    usual = now + clinic_supply.current().services[asked.service].notice
    today = now.astimezone(asked.sites[0].zone).date()
    return usual if asked.day == today else asked.day


def _times(asked: _Asked, *, now: datetime, near: Sequence[Offer] = ()) -> dict[str, object]:
    """Return what the template of the times needs: by day and site: id, value, words, count."""
    supply = clinic_supply.current()
    sites = supply.sites
    kind = "chairs" if supply.services[asked.service].need(NeedKind.CHAIR) else "people"
    is_counted = asked.person is None
    found = _free(asked, now=now)
    groups: dict[tuple[date, str], list[tuple[str, str, str, str]]] = {}
    for number, offer in enumerate(sorted({*found, *near}) if near else found):
        site = sites[offer.site_id]
        wall = offer.starts_at.astimezone(site.zone)
        value = f"{offer.starts_at.isoformat()}|{site.code}"
        count = f"{offer.free} of {offer.of} {kind}" if is_counted and offer.of > 1 else ""
        shown = (f"start-{number}", value, display.wall_time(wall.time()), count)
        groups.setdefault((wall.date(), site.name), []).append(shown)
    return {"groups": groups, "asked": asked}


def _page(form: BookForm, patient: Patient | None, *, refusal: Refusal | None = None) -> str:
    now = clock.now()
    supply = clinic_supply.current()
    asked = _asked(request.values)
    bookable = [s for s in supply.services.values() if not s.needs_authority]
    form.service.choices = [option(s.code.value, s.name) for s in bookable]
    form.service.data = asked.service.value
    form.site.choices = [
        *(option(s.code, s.name) for s in supply.sites.values()),
        option(ANY, "Either"),
    ]
    form.person.choices = [
        option("", "Anyone"),
        *(option(str(number), name) for number, name in asked.people.items()),
    ]
    form.show.choices = [option(code, words) for code, words in SHOWN_WORDS.items()]
    form.part.choices = [option(code, words) for code, words in PART_WORDS.items()]
    form.part.data = asked.part
    form.site.data, form.day.data = asked.site, asked.day
    form.person.data, form.show.data = str(asked.person or ""), asked.show
    near: Sequence[Offer] = ()
    if isinstance(refusal, SlotTaken) and asked.person is None:  # near ones may be others'
        near = refusal.alternatives()
    html = render_template(
        "desk/book.html",
        form=form,
        patient=patient,
        texts=consent.standing(patient) if patient else None,
        **_times(asked, now=now, near=near),
        chosen_start=form.start.data,
        start_errors=form.start.errors,
        once=form.once.data or tokens.mint(),
        refusal=refusal,
    )
    if patient is not None:
        looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html
