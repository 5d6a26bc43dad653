"""People: finding them, what we know, and telling two records that they are one person."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, EmailField, Field, RadioField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from scheduler.accounts.rules import Act
from scheduler.audit import service as audit
from scheduler.audit.service import origin
from scheduler.booking import queries as book
from scheduler.booking.models import Status as AppointmentStatus
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.mail import is_address
from scheduler.core.phone import NotAMobile, mobile
from scheduler.messaging import consent
from scheduler.messaging import queries as messages
from scheduler.patients import links
from scheduler.patients import queries as patients
from scheduler.patients import service as people
from scheduler.patients.models import Pain, PainSince, Patient, Standing
from scheduler.plans import service as plans
from scheduler.plans.models import PlanState
from scheduler.reports import board as boards
from scheduler.reports import course
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.rooms import say
from scheduler.web.display import ZONES, full_date
from scheduler.web.fields import Form, MobileField, option, read_number, tidy_line
from scheduler.web.guards import insist, requires
from scheduler.web.i18n import LANGUAGES

bp = Blueprint("desk_patients", __name__, url_prefix="/desk/patients")

PAIN_WORDS = {
    Pain.DIABETIC: "Diabetic neuropathy",
    Pain.CRPS: "CRPS",
    Pain.FIBROMYALGIA: "Fibromyalgia",
    Pain.HERPETIC: "Post-herpetic pain",
    Pain.SCLEROSIS: "Multiple sclerosis",
    Pain.COMPRESSION: "Nerve compression",
    Pain.INFLAMMATORY: "Inflammatory pain",
    Pain.CIRCULATION: "Poor circulation",
    Pain.OTHER: "Other",
    Pain.UNSURE: "Not sure",
}
SINCE_WORDS = {
    PainSince.MONTHS: "under 6 months",
    PainSince.YEAR: "6 to 12 months",
    PainSince.YEARS: "1 to 5 years",
    PainSince.LONG: "over 5 years",
}
PLAN_WORDS = {
    PlanState.DRAFT: "waits for a clinician",
    PlanState.APPROVED: "approved, to be booked",
    PlanState.CHANGED: "approved, to be booked",
    PlanState.DECLINED: "declined",
    PlanState.ACTIVE: "running",
    PlanState.COMPLETED: "completed",
    PlanState.CEASED: "ended",
}
AHEAD = (AppointmentStatus.BOOKED, AppointmentStatus.ARRIVED)
#: What staff read out when they ask; kept word for word with the answer.
SPOKEN_WORDING = (
    "May we text you about your appointments? Message and data rates may apply. "
    "You can stop at any time by replying STOP."
)
HOW_AGREED = {"phone": "by phone", "paper": "on paper", "desk": "at the desk"}


#: The clocks people live by who come to the clinics; no text is sent in the night of theirs.
CLOCKS = {
    "": "As at their clinic",
    **ZONES,
    "America/Puerto_Rico": "Puerto Rico",
}


class ContactForm(Form):
    """How somebody may be reached, and what they like to be called."""

    preferred_name = StringField("Likes to be called", [Length(max=80)], filters=[tidy_line])
    phone = StringField(
        "Phone",
        [Length(max=40, message="That is longer than any number.")],
        filters=[tidy_line],
    )
    private_mobile = MobileField("Number to use in confidence", [Optional()])
    shares_phone = BooleanField("Others read this phone")
    email = EmailField("E-mail", [Optional()], filters=[tidy_line])
    language = SelectField("Language", choices=[option(k, v) for k, v in LANGUAGES.items()])
    zone_name = SelectField(
        "Their clock", choices=[option(k, v) for k, v in CLOCKS.items()], default=""
    )

    def validate_email(self, field: Field) -> None:
        """Refuse what is no address, or two."""
        if field.data and not is_address(field.data):
            raise ValidationError("Enter an address like name@example.com.")


class ConsentForm(Form):
    """What somebody said when they were asked about texts."""

    answer = RadioField(
        "What did they say?",
        [InputRequired("Choose what they said.")],
        choices=[option("yes", "Yes, text me"), option("no", "No texts")],
    )
    how = RadioField(
        "How did they say it?",
        [InputRequired("Choose how they said it.")],
        choices=[option(k, v.capitalize()) for k, v in HOW_AGREED.items()],
    )


@bp.get("", strict_slashes=False)
def search() -> ResponseReturnValue:
    """Offer to find somebody."""
    return render_template("desk/patients.html", found=None, words="", then="")


@bp.post("", strict_slashes=False)
def results() -> ResponseReturnValue:
    """Find people; posted, so that no name stands in an address or a log."""
    words = request.form.get("q", "").strip()[:80]
    then = "book" if request.form.get("then") == "book" else ""
    found = patients.search(words) if words else []
    fragment = "X-Fragment" in request.headers
    html = render_template(
        "desk/_found.html" if fragment else "desk/patients.html",
        found=found,
        words=words,
        then=then,
    )
    ids = [p.id for p in found]
    if words:
        looks.note("patients.searched.viewed", "patients", found=ids)
    return html


@bp.get("/<string:public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show everything the desk may see of a person."""
    return _page(public_id)


@bp.get("/<string:public_id>/edit")
@requires(Act.BOOK)
def edit(public_id: str) -> ResponseReturnValue:
    """Show the contacts in a form."""
    patient = patients.by_public_id(public_id)
    number = _shown(patient.mobile) if patient.mobile else patient.phone_text
    form = ContactForm(
        preferred_name=patient.preferred_name,
        phone=number,
        private_mobile=patient.private_mobile,
        shares_phone=patient.shares_phone,
        email=patient.email,
        language=patient.language,
        zone_name=patient.zone_name or "",
    )
    return _edit_page(public_id, form)


@bp.post("/<string:public_id>/edit")
@requires(Act.BOOK)
def keep(public_id: str) -> ResponseReturnValue:
    """Keep the contacts as they were typed."""
    form = ContactForm()
    if not form.validate():
        return _edit_page(public_id, form, status=422)
    phone = (form.phone.data or "").strip()
    number, text = _phone(phone)
    try:
        with transaction():
            people.change(
                patients.by_public_id(public_id),
                {
                    "preferred_name": (form.preferred_name.data or "").strip() or None,
                    "mobile": number,
                    "phone_text": text,
                    "private_mobile": form.private_mobile.data,
                    "shares_phone": bool(form.shares_phone.data),
                    "email": (form.email.data or "").strip() or None,
                    "language": form.language.data,
                    "zone_name": form.zone_name.data or None,
                },
                version=_version(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _edit_page(public_id, form, refusal, status=refusal.status)
    say("Kept." if number or not phone else "Kept. That number cannot get texts.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/consent")
@requires(Act.BOOK)
def record_consent(public_id: str) -> ResponseReturnValue:
    """Write down what they said about texts, word for word what they were asked."""
    form = ConsentForm()
    if not form.validate():
        return _page(public_id, consent_form=form, status=422)
    now, actor = clock.now(), login.me().actor
    try:
        with transaction():
            patient = patients.by_public_id(public_id)
            if not patient.reached_at:
                raise Invalid("There is no mobile number to text.")
            wording = f"{SPOKEN_WORDING} (asked {HOW_AGREED[str(form.how.data)]})"
            if form.answer.data == "yes":
                consent.grant(
                    patient,
                    patient.reached_at,
                    wording,
                    source="desk",
                    actor=actor,
                    origin=origin.get()[0],
                    now=now,
                )
            else:
                consent.revoke(
                    patient.reached_at,
                    wording=wording,
                    source="desk",
                    actor=actor,
                    origin=origin.get()[0],
                    now=now,
                    patient_id=patient.id,
                )
    except Refusal as refusal:
        return _page(public_id, refusal=refusal, status=refusal.status)
    say("Their answer is recorded.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.get("/<string:public_id>/merge/<string:into>")
@requires(Act.ANSWER)
def compare(public_id: str, into: str) -> ResponseReturnValue:
    """Show two records side by side."""
    return _compare_page(public_id, into)


@bp.post("/<string:public_id>/merge/<string:into>")
@requires(Act.ANSWER)
def merge(public_id: str, into: str) -> ResponseReturnValue:
    """Fold an enquirer into the patient they are."""
    try:
        with transaction():
            plans.merge_patients(
                patients.by_public_id(public_id),
                patients.by_public_id(into),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _compare_page(public_id, into, refusal, status=refusal.status)
    say("The two are one record now, with all appointments and messages.")
    return redirect(url_for(".show", public_id=into), code=303)


@bp.post("/<string:public_id>/calendar/close")
@requires(Act.ANSWER)
def close_calendar(public_id: str) -> ResponseReturnValue:
    """Close a patient's calendar address: a lost phone, or somebody else who reads it."""
    now = clock.now()
    with transaction():
        patient = patients.by_public_id(public_id)
        links.close_feed(patient, now=now)
        audit.record(
            "feed.closed",
            f"patient:{patient.id}",
            actor=login.me().actor,
            now=now,
            patient_id=patient.id,
        )
    say("Their calendar address is closed. They can make a new one from any link of ours.")
    return redirect(url_for(".show", public_id=public_id), code=303)


@bp.post("/<string:public_id>/accept")
@requires(Act.ANSWER)
def accept(public_id: str) -> ResponseReturnValue:
    """Take an enquirer on: they are nobody we know."""
    try:
        with transaction():
            people.accept(patients.by_public_id(public_id), actor=login.me().actor, now=clock.now())
    except Refusal as refusal:
        return _page(public_id, refusal=refusal, status=refusal.status)
    say("They have a record of their own now.")
    return redirect(url_for(".show", public_id=public_id), code=303)


def _phone(typed: str) -> tuple[str | None, str | None]:
    """Return a number as (mobile, text): what cannot be texted is kept as it was typed."""
    if not typed:
        return None, None
    try:
        return mobile(typed), None
    except NotAMobile:
        return None, typed


def _shown(e164: str) -> str:
    return f"({e164[2:5]}) {e164[5:8]}-{e164[8:]}" if len(e164) == 12 else e164


def _version() -> int:
    version = read_number(request.form.get("version"))
    if version is None:
        raise Invalid("Please open the page again.")
    return version


def _page(
    public_id: str,
    *,
    refusal: Refusal | None = None,
    consent_form: ConsentForm | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    let_go()
    patient = patients.by_public_id(public_id)
    if patient.standing is Standing.MERGED and patient.merged_into_id:
        into = patients.by_id(patient.merged_into_id)
        return redirect(url_for(".show", public_id=into.public_id), code=303)
    now = clock.now()
    supply = clinic_supply.current()
    appointments = book.of_patient(patient.id)
    in_chair = boards.chair_states([a for a in appointments if a.status in AHEAD], now=now)
    site = supply.sites.get(patient.home_site_id or 0) or next(iter(supply.sites.values()))
    html = render_template(
        "desk/patient.html",
        p=patient,
        is_enquirer=patient.standing is Standing.ENQUIRER,
        likely=patients.likely_same(patient) if patient.standing is Standing.ENQUIRER else [],
        twins=patients.likely_same(patient, standing=Standing.ENQUIRER)
        if patient.standing is Standing.ENQUIRER
        else [],
        texts=consent.standing(patient),
        ledger=consent.ledger(patient),
        consent_form=consent_form or ConsentForm(formdata=None),
        spoken=SPOKEN_WORDING,
        coming=[a for a in appointments if a.status in AHEAD and a.ends_at > now][::-1],
        past=[a for a in appointments if not (a.status in AHEAD and a.ends_at > now)],
        standings={
            a.id: boards.standing(a, now=now, in_chair=in_chair.get(a.id)) for a in appointments
        },
        course=course.of_patient(patient),
        plan_words=PLAN_WORDS,
        services={code: s.name for code, s in supply.services.items()},
        messages=messages.of_patient(patient.id, limit=20),
        talk=messages.conversation(patient.reached_at, limit=30) if patient.reached_at else [],
        zone=site.zone,
        site=site,
        sees_clinical=login.me().may(Act.SEE_CLINICAL),
        pain=PAIN_WORDS.get(patient.pain) if patient.pain else None,
        since=SINCE_WORDS.get(patient.pain_since) if patient.pain_since else None,
        language_name=LANGUAGES.get(patient.language, patient.language),
        refusal=refusal,
        feed_since=links.feed_since(patient, now=now),
        now=now,
    )
    looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html, status


def _edit_page(
    public_id: str, form: ContactForm, refusal: Refusal | None = None, *, status: int = 200
) -> ResponseReturnValue:
    let_go()
    patient = patients.by_public_id(public_id)
    html = render_template("desk/patient_edit.html", p=patient, form=form, refusal=refusal)
    looks.note("patient.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html, status


def _compare_page(
    public_id: str, into: str, refusal: Refusal | None = None, *, status: int = 200
) -> ResponseReturnValue:
    insist(Act.ANSWER)
    let_go()
    one, other = patients.by_public_id(public_id), patients.by_public_id(into)
    sees_clinical = login.me().may(Act.SEE_CLINICAL)
    now = clock.now()
    html = render_template(
        "desk/merge.html",
        one=one,
        other=other,
        rows=_differences(one, other, sees_clinical=sees_clinical),
        moving=book.of_patient(one.id),
        staying=book.upcoming(other.id, now=now),
        services={c: s.name for c, s in clinic_supply.current().services.items()},
        refusal=refusal,
    )
    ids = (one.id, other.id)
    for patient_id in ids:
        looks.note("patient.viewed", f"patient:{patient_id}", patient_id=patient_id)
    return html, status


def _differences(
    one: Patient, other: Patient, *, sees_clinical: bool
) -> list[tuple[str, str, str, bool]]:
    """Return (label, enquirer's, patient's, same) for what is worth comparing."""

    def facts(p: Patient) -> dict[str, str]:
        known = {
            "Name": f"{p.given_name} {p.family_name}",
            "Born": full_date(p.birth_date) if p.birth_date else "",
            "Mobile": _shown(p.mobile) if p.mobile else p.phone_text or "",
            "E-mail": p.email or "",
            "Address": ", ".join(filter(None, (p.address_line, p.city, p.state))),
            "Language": LANGUAGES.get(p.language, p.language),
            "Record number": p.mrn or "",
        }
        if sees_clinical:
            known["What hurts"] = PAIN_WORDS[p.pain] if p.pain else ""
        return known

    left, right = facts(one), facts(other)
    return [
        (label, left[label], right[label], left[label].casefold() == right[label].casefold())
        for label in left
    ]
