"""A new booking: who, what, when, done."""

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
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock, tokens
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Refusal
from scheduler.core.timespan import day_span
from scheduler.messaging import consent
from scheduler.patients import queries as patients
from scheduler.patients import service as people
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.rooms import say
from scheduler.web.fields import DayField, Form, MobileField, option, read_aware, tidy_line
from scheduler.web.guards import requires

bp = Blueprint("desk_booking", __name__, url_prefix="/desk/book")

MOST_TIMES = 16
LOOK_DAYS = 21
ANY = "any"


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
    day = DayField("From", [Optional()])
    start = StringField("Time", [InputRequired("Choose a time.")])  # "moment|site"
    notify = BooleanField("Tell the patient", default=True)
    once = HiddenField()


@dataclass(frozen=True)
class _Asked:
    """What the form is about, made sense of."""

    service: ServiceCode
    sites: list[SiteSupply]
    site: str
    day: date


@bp.get("", strict_slashes=False)
@requires(Act.BOOK)
def choose() -> ResponseReturnValue:
    """Ask who, what and when; the first free times are there already."""
    form = BookForm(request.args, meta={"csrf": False})
    form.notify.data = True  # an unticked box and one never shown look alike in an address
    return _page(form, _found(request.args.get("patient")))


@bp.post("", strict_slashes=False)
@requires(Act.BOOK)
def confirm() -> ResponseReturnValue:
    """Book; what is wrong is said at its field and nothing typed is lost."""
    form = BookForm()
    patient = _found(form.patient.data)
    form.validate()
    chosen = _chosen(form)
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
    asked = _asked(form)
    once = str(form.once.data or "")
    body = "|".join(
        (str(form.patient.data), str(form.given_name.data), str(form.family_name.data),
         asked.service.value, str(form.start.data))
    )  # fmt: skip
    known = patient.id if patient else None
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


def _asked(form: BookForm) -> _Asked:
    supply = clinic_supply.current()
    try:
        service = ServiceCode(form.service.data or "call")
    except ValueError:
        service = ServiceCode.CALL
    if service not in supply.services or supply.services[service].needs_authority:
        service = ServiceCode.CALL
    home = supply.sites.get(login.me().home_site_id) or next(iter(supply.sites.values()))
    wanted = str(form.site.data or home.code)
    one = supply.site(wanted)
    sites = list(supply.sites.values()) if wanted == ANY else [one or home]
    today = clock.now().astimezone(sites[0].zone).date()
    day = max(form.day.data or today, today)
    return _Asked(service, sites, ANY if wanted == ANY else sites[0].code, day)


def _first_free(asked: _Asked, *, now: datetime) -> list[Offer]:
    """Return the first free times from the asked day on, a few days at a time."""
    found: list[Offer] = []
    site_ids = [site.id for site in asked.sites]
    since = day_span(asked.day, asked.sites[0].zone).start
    for step in range(0, LOOK_DAYS, 3):
        found += offers.find(
            asked.service,
            site_ids=site_ids,
            since=since + timedelta(days=step),
            until=since + timedelta(days=step + 3),
            now=now,
            audience=Audience.DESK,
        )
        if len(found) >= MOST_TIMES:
            break
    return found[:MOST_TIMES]


def _page(form: BookForm, patient: Patient | None, *, refusal: Refusal | None = None) -> str:
    now = clock.now()
    supply = clinic_supply.current()
    asked = _asked(form)
    bookable = [s for s in supply.services.values() if not s.needs_authority]
    form.service.choices = [option(s.code.value, s.name) for s in bookable]
    form.service.data = asked.service.value
    form.site.choices = [
        *(option(s.code, s.name) for s in supply.sites.values()),
        option(ANY, "Either"),
    ]
    form.site.data, form.day.data = asked.site, asked.day
    near = refusal.alternatives() if isinstance(refusal, SlotTaken) else []
    free = sorted({*_first_free(asked, now=now), *near})
    groups: dict[tuple[date, int], list[Offer]] = {}
    for offer in free:
        zone = supply.sites[offer.site_id].zone
        groups.setdefault((offer.starts_at.astimezone(zone).date(), offer.site_id), []).append(
            offer
        )
    html = render_template(
        "desk/book.html",
        form=form,
        patient=patient,
        texts=consent.standing(patient) if patient else None,
        groups=groups,
        sites=supply.sites,
        asked=asked,
        once=form.once.data or tokens.mint(),
        refusal=refusal,
    )
    if patient is not None:
        looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html
