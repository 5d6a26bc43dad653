"""Verbs on people."""

from collections.abc import Callable
from datetime import date, datetime

from scheduler.audit import service as audit
from scheduler.clinic import service as clinic
from scheduler.clinic.models import ResourceKind
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Stale
from scheduler.core.tokens import public_id
from scheduler.core.words import digits, plain
from scheduler.patients.links import revoke_links
from scheduler.patients.models import Pain, PainSince, Patient, Standing


def add(
    given_name: str,
    family_name: str,
    *,
    actor: str,
    now: datetime,
    standing: Standing = Standing.PATIENT,
    preferred_name: str | None = None,
    birth_date: date | None = None,
    sex: str | None = None,
    mobile: str | None = None,
    phone_text: str | None = None,
    email: str | None = None,
    language: str = "en",
    address_line: str | None = None,
    city: str | None = None,
    state: str | None = None,
    postal_code: str | None = None,
    mrn: str | None = None,
    deceased_on: date | None = None,
    is_deceased: bool = False,
    home_site_id: int | None = None,
    pain: Pain | None = None,
    pain_since: PainSince | None = None,
    tried: str | None = None,
) -> Patient:
    """Add a person, with the lane that keeps them from being in two places."""
    lane = clinic.add_resource(ResourceKind.PATIENT, "")
    patient = Patient(
        public_id=public_id(),
        resource_id=lane.id,
        standing=standing,
        given_name=given_name.strip(),
        family_name=family_name.strip(),
        preferred_name=preferred_name,
        birth_date=birth_date,
        sex=sex,
        mobile=mobile,
        phone_text=phone_text,
        email=email,
        language=language,
        address_line=address_line,
        city=city,
        state=state,
        postal_code=postal_code,
        mrn=mrn,
        deceased_on=deceased_on,
        is_deceased=is_deceased,
        home_site_id=home_site_id,
        pain=pain,
        pain_since=pain_since,
        tried=tried,
        search="",
        created_at=now,
    )
    refresh_search(patient)
    db.session.add(patient)
    db.session.flush()
    audit.record(
        "patient.added",
        f"patient:{patient.id}",
        actor=actor,
        now=now,
        patient_id=patient.id,
        standing=standing.value,
    )
    return patient


def enquire(
    given_name: str,
    family_name: str,
    *,
    mobile: str,
    email: str | None,
    language: str,
    pain: Pain,
    pain_since: PainSince | None,
    tried: str | None,
    home_site_id: int | None,
    actor: str,
    now: datetime,
) -> Patient:
    """Add somebody who booked online: always a new record, never a change of an existing one.

    That is the promise that nothing typed online shows or alters what we know of a person; staff
    link or merge.
    """
    return add(
        given_name,
        family_name,
        standing=Standing.ENQUIRER,
        mobile=mobile,
        email=email,
        language=language,
        pain=pain,
        pain_since=pain_since,
        tried=tried,
        home_site_id=home_site_id,
        actor=actor,
        now=now,
    )


def change(
    patient: Patient, changes: dict[str, object], *, version: int, actor: str, now: datetime
) -> Patient:
    """Change a person's details; `changes` maps column names to new values.

    Raises:
        Stale: somebody changed them since version `version` was read.
    """
    db.session.refresh(patient, with_for_update={"of": Patient})
    if patient.version != version:
        raise Stale("Somebody else changed these details while you had them open.")
    changed = [name for name, value in changes.items() if getattr(patient, name) != value]
    for name in changed:
        setattr(patient, name, changes[name])
    if changed:
        patient.version += 1
        refresh_search(patient)
        audit.record(
            "patient.changed",
            f"patient:{patient.id}",
            actor=actor,
            now=now,
            patient_id=patient.id,
            fields=sorted(changed),
        )
    db.session.flush()
    return patient


def accept(patient: Patient, *, actor: str, now: datetime) -> Patient:
    """Make an enquirer a patient of their own: staff spoke to them and they are nobody we know."""
    if patient.standing is not Standing.ENQUIRER:
        raise Invalid("Only somebody who booked online can be taken on this way.")
    patient.standing = Standing.PATIENT
    patient.version += 1
    audit.record(
        "patient.accepted", f"patient:{patient.id}", actor=actor, now=now, patient_id=patient.id
    )
    db.session.flush()
    return patient


def merge(
    enquirer: Patient,
    into: Patient,
    *,
    move_rows: Callable[[Patient, Patient], None],
    actor: str,
    now: datetime,
) -> Patient:
    """Fold an enquirer's record into the patient they are; return that patient.

    What the patient's record lacks is taken over; what it has stays. `move_rows(from, into)` is
    given by the rooms above and hands over what they keep of the person.

    Raises:
        Invalid: the two are the same, either was merged before, or they are not an enquirer and
            a patient: two patients' records are not mixed by an address edited by hand.
    """
    if enquirer.id == into.id:
        raise Invalid("These are the same record.")
    if Standing.MERGED in (enquirer.standing, into.standing):
        raise Invalid("One of these records was already merged.")
    if (enquirer.standing, into.standing) != (Standing.ENQUIRER, Standing.PATIENT):
        raise Invalid("Only somebody who booked online is folded into a patient we know.")
    for name in ("mobile", "email", "phone_text", "pain", "pain_since", "tried", "home_site_id"):
        if getattr(into, name) is None:
            setattr(into, name, getattr(enquirer, name))
    move_rows(enquirer, into)
    revoke_links(enquirer.id, now=now)
    enquirer.standing = Standing.MERGED
    enquirer.merged_into_id = into.id
    enquirer.version += 1
    into.version += 1
    refresh_search(into)
    for person in (enquirer, into):
        audit.record(
            "patient.merged",
            f"patient:{person.id}",
            actor=actor,
            now=now,
            patient_id=person.id,
            merged=enquirer.id,
            into=into.id,
        )
    db.session.flush()
    return into


def refresh_search(patient: Patient) -> None:
    """Write the column that search reads: each word and number after a space."""
    names = plain(
        " ".join(filter(None, (patient.given_name, patient.preferred_name, patient.family_name)))
    )
    numbers = [
        digits(n)[-10:] for n in (patient.mobile, patient.private_mobile, patient.phone_text) if n
    ]
    born = [patient.birth_date.strftime("%m/%d/%Y")] if patient.birth_date else []
    codes = [plain(patient.mrn)] if patient.mrn else []
    patient.search = " " + " ".join([names, *dict.fromkeys(numbers), *born, *codes]) + " "
