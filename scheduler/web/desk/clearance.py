"""Clearance: what is known of a candidate, a clinician's signature, and the first visit booked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, IntegerField, RadioField, SelectField, StringField, TimeField
from wtforms.validators import Length, Optional

from scheduler.accounts.rules import Act
from scheduler.booking import offers
from scheduler.booking import queries as book
from scheduler.booking.errors import SlotTaken
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import exists, instant
from scheduler.messaging import consent
from scheduler.patients import queries as patients
from scheduler.patients.models import Patient
from scheduler.plans import approval
from scheduler.plans import service as plans
from scheduler.treatment import clearance, vocabulary
from scheduler.treatment.models import Answer, Decision
from scheduler.web import login
from scheduler.web.desk import looks, signing
from scheduler.web.desk.refusals import at_its_field
from scheduler.web.desk.rooms import say
from scheduler.web.fields import DayField, Form, option, read_aware, read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_clearance", __name__, url_prefix="/desk/clearance")

ANSWERS = [option(a.value, a.value.capitalize()) for a in (Answer.NO, Answer.YES, Answer.UNKNOWN)]
MOST_TIMES = 24
LOOK = timedelta(days=28)


class ClearanceForm(Form):
    """What is found out; one question an item is added below."""

    systolic = IntegerField("Upper", [Optional()])
    diastolic = IntegerField("Lower", [Optional()])
    consent = StringField(
        "Version of the consent that was signed", [Length(max=40, message="Use at most 40.")]
    )
    reason = StringField("Why not", [Length(max=500, message="Use at most 500 letters.")])


def _name(item: str) -> str:
    return "is_" + item.replace("-", "_")


for _item, _words in vocabulary.CONTRAINDICATIONS.items():
    setattr(
        ClearanceForm,
        _name(_item),
        RadioField(_words, [Optional()], choices=ANSWERS),
    )
    setattr(
        ClearanceForm,
        _name(_item) + "_note",
        StringField("Note", [Length(max=300, message="Use at most 300 letters.")]),
    )


class FirstForm(Form):
    """Where and when a first visit may be."""

    site = SelectField("Clinic", validate_choice=False)
    day = DayField("From", [Optional()])
    start = StringField("Time", [Optional()])  # "moment|site"
    other_day = DayField("Day", [Optional()])  # or a time that is not in the list
    other_time = TimeField("Time", [Optional()])
    other_site = SelectField("Clinic", validate_choice=False)
    notify = BooleanField("Tell the patient", default=True)


@dataclass(frozen=True)
class Question:
    """One contraindication on the page."""

    item: str
    words: str
    field: str
    note_field: str
    who: str | None
    at: datetime | None
    note: str | None
    changed: bool  # since it was signed


@bp.get("/<string:public_id>")
@requires(Act.SEE_CLINICAL)
def show(public_id: str) -> ResponseReturnValue:
    """Show what is known, what is missing, and who signed."""
    return _page(public_id)


@bp.post("/<string:public_id>")
@requires(Act.RECORD_SESSION)
def keep(public_id: str) -> ResponseReturnValue:
    """Keep what was answered; with "sign" or "refuse", sign it with the password."""
    form = ClearanceForm()
    deed = request.form.get("deed", "keep")
    try:
        if not form.validate():
            raise Invalid("Please check what is marked.")
        word = None
        if deed in ("sign", "refuse"):
            if not login.me().may(Act.SIGN_CLEARANCE):
                raise Invalid("Only a clinician signs a clearance.")
            if deed == "refuse" and not (form.reason.data or "").strip():
                raise Invalid("Please say why.", field="reason")
            word = signing.signed()
        with transaction():
            patient = patients.by_public_id(public_id)
            basis = _keep(patient, form)
            if word is not None:
                clearance.sign(
                    patient,
                    word.staff,
                    Decision.CLEARED if deed == "sign" else Decision.NOT_CLEARED,
                    basis=basis,
                    reason=(form.reason.data or "").strip() or None,
                    now=clock.now(),
                )
            approval.look_again(patient, actor=login.me().actor, now=clock.now())
            holds = clearance.current(patient).holds
    except Refusal as refusal:
        return _page(public_id, form, at_its_field(form, refusal)), refusal.status
    if deed == "sign" and holds:
        say("Signed. The first visit can be booked.")
        return redirect(url_for(".first", public_id=public_id), code=303)
    say("Signed as not cleared." if deed == "refuse" else "Kept.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.get("/<string:public_id>/first")
@requires(Act.BOOK)
def first(public_id: str) -> ResponseReturnValue:
    """Offer the free times for a first visit at both clinics."""
    form = FirstForm(request.args, meta={"csrf": False})
    form.notify.data = True  # an unticked box and one never shown look alike in an address
    return _first_page(public_id, form)


@bp.post("/<string:public_id>/first")
@requires(Act.BOOK)
def book_first(public_id: str) -> ResponseReturnValue:
    """Book the first visit and the chat after it."""
    form = FirstForm()
    try:
        form.validate()
        moment, site = _chosen(form)
        word = signing.override()
        excuse = signing.excuse()
        with transaction():
            booked = plans.book_first_infusion(
                patients.by_public_id(public_id),
                site.id,
                moment,
                actor=login.me().actor,
                now=clock.now(),
                override=word.as_override() if word else None,
                excuse=excuse,
                notify=bool(form.notify.data),
            )
            chat = booked.chat
            onward = booked.infusion.public_id
    except Refusal as refusal:
        return _first_page(public_id, form, at_its_field(form, refusal)), refusal.status
    if chat is None:
        say("Booked. No time for the chat was free in its days: it is on the list “Chats due”.")
    else:
        say(f"Booked, and the chat after it: {_moment(chat.starts_at, chat.site_id)}.")
    return redirect(url_for("desk_appointments.show", public_id=onward), code=303)


def _keep(patient: Patient, form: ClearanceForm) -> Mapping[str, int]:
    """Write down what differs from what is known; return what a signer has before them.

    Raises:
        Stale: an answer was recorded by somebody else since the page was read.
    """
    now, actor = clock.now(), login.me().actor
    standing = clearance.refuse_stale(patient, _read_basis())
    basis = dict(standing.basis)
    for item in vocabulary.CONTRAINDICATIONS:
        value = form[_name(item)].data
        note = (form[_name(item) + "_note"].data or "").strip()
        known = standing.entries.get(item)
        if not value or (known and known.answer == value and (known.note or "") == note):
            continue
        entry = clearance.answer(
            patient, item, Answer(value), note=note or None, actor=actor, now=now
        )
        basis[item] = entry.id
    pair = (form.systolic.data, form.diastolic.data)
    known = standing.entries.get(vocabulary.PRESSURE)
    if any(pair) and (known is None or pair != (known.systolic, known.diastolic)):
        entry = clearance.record_pressure(patient, pair[0] or 0, pair[1] or 0, actor=actor, now=now)
        basis[vocabulary.PRESSURE] = entry.id
    version = (form.consent.data or "").strip()
    known = standing.entries.get(vocabulary.CONSENT)
    if version and (known is None or known.consent_version != version):
        entry = clearance.record_consent(patient, version, actor=actor, now=now)
        basis[vocabulary.CONSENT] = entry.id
    return basis


def _read_basis() -> dict[str, int]:
    pairs = (part.partition(":") for part in request.form.get("basis", "").split(",") if part)
    return {item: number for item, _, n in pairs if (number := read_number(n)) is not None}


def _page(public_id: str, form: ClearanceForm | None = None, refusal: Refusal | None = None) -> str:
    let_go()
    patient = patients.by_public_id(public_id)
    standing = clearance.current(patient)
    entries = standing.entries
    if form is None:
        form = ClearanceForm(formdata=None, **_known(standing))
    questions = []
    for item, words in vocabulary.CONTRAINDICATIONS.items():
        entry = entries.get(item)
        questions.append(
            Question(
                item,
                words,
                _name(item),
                _name(item) + "_note",
                book.actor_name(entry.recorded_by) if entry else None,
                entry.recorded_at if entry else None,
                entry.note if entry else None,
                standing.signed is not None and item in standing.changed,
            )
        )
    supply = clinic_supply.current()
    site = supply.sites.get(patient.home_site_id or 0) or next(iter(supply.sites.values()))
    signed = standing.signed
    html = render_template(
        "desk/clearance.html",
        p=patient,
        form=form,
        refusal=refusal,
        standing=standing,
        basis=",".join(f"{item}:{n}" for item, n in standing.basis.items()),
        questions=questions,
        measured={
            item: (book.actor_name(entry.recorded_by), entry.recorded_at)
            for item in vocabulary.MEASURES
            if (entry := entries.get(item))
        },
        pressure=vocabulary.PRESSURE,
        consent_item=vocabulary.CONSENT,
        signer=book.actor_name(f"staff:{signed.signed_by_id}") if signed else None,
        zone=site.zone,
    )
    looks.note("clearance.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html


def _known(standing: clearance.Standing) -> dict[str, object]:
    known: dict[str, object] = {}
    for item in vocabulary.CONTRAINDICATIONS:
        entry = standing.entries.get(item)
        if entry is not None and entry.answer is not None:
            known[_name(item)] = entry.answer.value
            known[_name(item) + "_note"] = entry.note or ""
    pressure = standing.entries.get(vocabulary.PRESSURE)
    if pressure is not None:
        known |= {"systolic": pressure.systolic, "diastolic": pressure.diastolic}
    signed = standing.entries.get(vocabulary.CONSENT)
    if signed is not None:
        known["consent"] = signed.consent_version
    return known


def _chosen(form: FirstForm) -> tuple[datetime, SiteSupply]:
    """Return the time that was typed, or else the one chosen of the list, and where.

    Raises:
        Invalid: it is none.
    """
    typed = _typed(form)
    if typed is not None:
        return typed
    written, _, code = str(form.start.data or "").partition("|")
    site = clinic_supply.current().site(code)
    moment = read_aware(written)
    if moment is None or site is None:
        form.start.errors = []
        raise Invalid("Choose a time.", field="start")
    return moment, site


def _typed(form: FirstForm) -> tuple[datetime, SiteSupply] | None:
    day, wall = form.other_day, form.other_time
    if not any(f.raw_data and f.raw_data[0] for f in (day, wall)):
        return None
    if day.errors or wall.errors:
        raise Invalid("Please check what is marked.")
    if day.data is None:
        raise Invalid("Enter a day, or take one of the times above.", field="other_day")
    if wall.data is None:
        raise Invalid("Enter a time, or take one of the times above.", field="other_time")
    site = clinic_supply.current().site(str(form.other_site.data or ""))
    if site is None:
        raise Invalid("Choose a clinic.", field="other_site")
    if not exists(day.data, wall.data, site.zone):
        raise Invalid("The clock skips that time on that day.", field="other_time")
    return instant(day.data, wall.data, site.zone), site


def _first_page(public_id: str, form: FirstForm, refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    patient = patients.by_public_id(public_id)
    supply = clinic_supply.current()
    home = supply.sites.get(patient.home_site_id or 0) or next(iter(supply.sites.values()))
    one = supply.site(str(form.site.data or ""))
    sites = [one] if one else [home, *(s for s in supply.sites.values() if s.id != home.id)]
    today = now.astimezone(home.zone).date()
    usual = now + supply.services[ServiceCode.FIRST_INFUSION].notice
    # Sooner than usual needs a reason, so it is shown to who asks for that day.
    after = max(form.day.data, today) if form.day.data else usual
    day = after if form.day.data else usual.astimezone(home.zone).date()
    form.site.choices = [
        option("any", "Either"),
        *(option(s.code, s.name) for s in supply.sites.values()),
    ]
    form.site.data, form.day.data = one.code if one else "any", day
    form.other_site.choices = [option(s.code, s.name) for s in supply.sites.values()]
    form.other_site.data = form.other_site.data or (one or home).code
    standing = clearance.current(patient)
    near = refusal.alternatives() if isinstance(refusal, SlotTaken) else []
    free = _free(patient, sites, after, now=now) if standing.holds else []
    groups: dict[tuple[date, int], list[Offer]] = {}
    for offer in sorted({*free, *near}):
        zone = supply.sites[offer.site_id].zone
        groups.setdefault((offer.starts_at.astimezone(zone).date(), offer.site_id), []).append(
            offer
        )
    signed = standing.signed
    html = render_template(
        "desk/first.html",
        p=patient,
        form=form,
        refusal=refusal,
        standing=standing,
        signer=book.actor_name(f"staff:{signed.signed_by_id}") if signed else None,
        groups=groups,
        sites=supply.sites,
        home=home,
        texts=consent.standing(patient),
        zone=home.zone,
    )
    looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html


def _free(
    patient: Patient, sites: list[SiteSupply], after: date | datetime, *, now: datetime
) -> list[Offer]:
    """Return the first free times of each clinic, so that a full one does not hide the other."""
    lane = clinic_queries.lane_of(patient.resource_id)
    found: list[Offer] = []
    for site in sites:
        found += offers.first_free(
            ServiceCode.FIRST_INFUSION,
            site_ids=[site.id],
            after=after,
            now=now,
            audience=Audience.DESK,
            most=MOST_TIMES,
            within=LOOK,
            patient_lane=lane,
        )
    return found


def _moment(moment: datetime, site_id: int) -> str:
    wall = moment.astimezone(clinic_supply.current().sites[site_id].zone)
    return f"{wall:%a, %b} {wall.day}, {(wall.hour - 1) % 12 + 1}:{wall:%M %p}"
