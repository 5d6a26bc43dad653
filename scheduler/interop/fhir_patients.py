"""Patients as hospitals export them: FHIR R4 `Patient`, one JSON object a line (NDJSON).

Kept: name, birth date, sex, address, contacts, language, medical record number, deceased.
Nothing else of the file is stored or logged: exports carry other identifiers too. A reason for
rejecting a line therefore never quotes it.
"""

import enum
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from scheduler.core.db import db
from scheduler.core.mail import is_address
from scheduler.core.phone import NotAMobile, mobile
from scheduler.core.words import one_line
from scheduler.patients import service as patients
from scheduler.patients.models import Patient, Standing

#: HL7 table 0203: the code of a medical record number.
MEDICAL_RECORD = "MR"
LONGEST_LINE = 1_000_000
LONGEST_NUMBER = 64
LONGEST_ADDRESS = 300
GENDERS = ("male", "female", "other", "unknown")
#: The languages we write; any other is kept by its primary tag and written to in English.
LANGUAGES = {"en": "en", "es": "es", "pt": "pt_BR"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PARTIAL = re.compile(r"\d{4}(-\d{2})?")
_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*")


class Unreadable(Exception):
    """Why a line is rejected, without a word of what stands in it."""


class Result(enum.StrEnum):
    """What came of a line."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Person:
    """What is kept of a line."""

    mrn: str
    given_name: str
    family_name: str
    birth_date: date | None
    sex: str | None
    mobile: str | None
    phone_text: str | None
    email: str | None
    language: str
    address_line: str | None
    city: str | None
    state: str | None
    postal_code: str | None
    is_deceased: bool
    deceased_on: date | None


def read(line: bytes) -> Person:
    """Return what is kept of one line.

    Raises:
        Unreadable: it is no Patient, or lacks a name or a medical record number, or a value in
            it has the wrong shape.
    """
    if len(line) > LONGEST_LINE:
        raise Unreadable("the line is longer than a patient can be")
    try:
        resource = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("the line is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Unreadable("the line is not JSON") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Patient":
        raise Unreadable("the line is not a FHIR Patient")
    given, family = _name(resource)
    number, phone_text = _phone(resource)
    is_deceased, deceased_on = _deceased(resource)
    address = _first(resource, "address", use="home")
    lines = [one_line(t) for t in _list(address, "line") if isinstance(t, str)]
    return Person(
        mrn=_mrn(resource),
        given_name=given,
        family_name=family,
        birth_date=_date(resource.get("birthDate"), "birthDate"),
        sex=_gender(resource.get("gender")),
        mobile=number,
        phone_text=phone_text,
        email=_email(resource),
        language=_language(resource),
        address_line=", ".join(filter(None, lines))[:LONGEST_ADDRESS] or None,
        city=_text(address, "city"),
        state=_text(address, "state"),
        postal_code=_text(address, "postalCode"),
        is_deceased=is_deceased,
        deceased_on=deceased_on,
    )


def keep(person: Person, *, actor: str, now: datetime) -> Result:
    """Add or update the patient with this medical record number, in the caller's transaction.

    What the file does not know is left as it is, and consent is never touched: somebody imported
    is not texted until consent is recorded.
    """
    values: dict[str, Any] = {k: v for k, v in vars(person).items() if k != "mrn"}
    known = db.session.scalar(select(Patient).where(Patient.mrn == person.mrn))
    if known is not None and known.standing is Standing.MERGED:
        known = db.session.get(Patient, known.merged_into_id)
    if known is None:
        patients.add(mrn=person.mrn, actor=actor, now=now, **values)
        return Result.CREATED
    changes = {
        name: value
        for name, value in values.items()
        if value is not None and getattr(known, name) != value
    }
    if not changes:
        return Result.UNCHANGED
    patients.change(known, changes, version=known.version, actor=actor, now=now)
    return Result.UPDATED


def _list(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unreadable(f"{name} is not a list")
    return found


def _text(holder: Any, name: str) -> str | None:
    found = holder.get(name) if isinstance(holder, dict) else None
    if found is None:
        return None
    if not isinstance(found, str):
        raise Unreadable(f"{name} is not text")
    return one_line(found) or None


def _first(resource: dict[str, Any], name: str, *, use: str) -> dict[str, Any]:
    """Return the entry with this use, else the first that is not old, else an empty one."""
    entries = [e for e in _list(resource, name) if isinstance(e, dict)]
    current = [e for e in entries if e.get("use") != "old"]
    return next((e for e in current if e.get("use") == use), current[0] if current else {})


def _name(resource: dict[str, Any]) -> tuple[str, str]:
    name = _first(resource, "name", use="official")
    given = one_line(" ".join(t for t in _list(name, "given") if isinstance(t, str)))
    family = _text(name, "family") or ""
    if not (given or family):
        raise Unreadable("there is no name")
    return given[:120], family[:120]


def _mrn(resource: dict[str, Any]) -> str:
    for entry in _list(resource, "identifier"):
        kind = entry.get("type") if isinstance(entry, dict) else None
        codes = [c.get("code") for c in _list(kind, "coding") if isinstance(c, dict)]
        if MEDICAL_RECORD in codes and (value := _text(entry, "value")):
            if len(value) > LONGEST_NUMBER:
                raise Unreadable("the medical record number is longer than one can be")
            return value
    raise Unreadable("there is no medical record number")


def _date(value: Any, name: str) -> date | None:
    """Return a whole date. FHIR allows a year or a month alone: that is no date to keep."""
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise Unreadable(f"{name} is no day of the calendar") from None
    if isinstance(value, str) and _PARTIAL.fullmatch(value):
        return None
    raise Unreadable(f"{name} is not a date")


def _gender(value: Any) -> str | None:
    if value is None:
        return None
    if value not in GENDERS:
        raise Unreadable("gender is not one of FHIR's codes")
    return str(value)


def _phone(resource: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return (mobile, None), or (None, the phone as text), or nothing at all.

    The numbering plan cannot tell a US mobile from a landline, so the export's own word decides:
    a phone filed under home or work is taken for a landline.
    """
    entries = [
        e
        for e in _list(resource, "telecom")
        if isinstance(e, dict) and e.get("system") in ("phone", "sms") and e.get("use") != "old"
    ]
    spoken = [(e, text) for e in entries if (text := _text(e, "value"))]
    for entry, text in sorted(spoken, key=lambda pair: pair[0].get("use") != "mobile"):
        if entry.get("use") in ("mobile", None) or entry.get("system") == "sms":
            try:
                return mobile(text), None
            except NotAMobile:
                continue
    return None, spoken[0][1][:60] if spoken else None


def _email(resource: dict[str, Any]) -> str | None:
    for entry in _list(resource, "telecom"):
        if isinstance(entry, dict) and entry.get("system") == "email":
            address = _text(entry, "value")
            if address and is_address(address):
                return address
    return None


def _language(resource: dict[str, Any]) -> str:
    spoken = [c for c in _list(resource, "communication") if isinstance(c, dict)]
    spoken.sort(key=lambda c: c.get("preferred") is not True)
    for entry in spoken:
        for coding in _list(entry.get("language"), "coding"):
            tag = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(tag, str) and _TAG.fullmatch(tag):
                primary = re.split(r"[-_]", tag)[0].lower()
                return LANGUAGES.get(primary, primary)
    return "en"


def _deceased(resource: dict[str, Any]) -> tuple[bool, date | None]:
    moment = resource.get("deceasedDateTime")
    if moment is not None:
        if not isinstance(moment, str):
            raise Unreadable("deceasedDateTime is not a date")
        return True, _date(moment[:10], "deceasedDateTime")
    value = resource.get("deceasedBoolean")
    if value not in (None, True, False):
        raise Unreadable("deceasedBoolean is neither true nor false")
    return value is True, None
