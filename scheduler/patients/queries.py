"""Reads of people."""

from sqlalchemy import ColumnElement, func, or_, select

from scheduler.core.db import db
from scheduler.core.errors import NotFound
from scheduler.core.words import digits, plain
from scheduler.patients.models import Patient, Standing


def by_public_id(public_id: str) -> Patient:
    """Return the person staff know by this opaque reference.

    Raises:
        NotFound: there is none.
    """
    found = db.session.scalar(select(Patient).where(Patient.public_id == public_id))
    if found is None:
        raise NotFound("We cannot find that person.")
    return found


def by_id(patient_id: int) -> Patient:
    """Return the person of this number.

    Raises:
        NotFound: there is none.
    """
    found = db.session.get(Patient, patient_id)
    if found is None:
        raise NotFound("We cannot find that person.")
    return found


def search(words: str, *, most: int = 20) -> list[Patient]:
    """Return whom `words` may mean: every word begins a word of theirs, or ends their number.

    "ju ok" finds June Okafor; "0134" finds the phone that ends so. In order of family name.
    """
    wanted = plain(words).split()
    if not wanted:
        return []
    query = select(Patient).where(Patient.standing != Standing.MERGED)
    for word in wanted:
        safe = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        starts = Patient.search.like(f"% {safe}%", escape="\\")
        number = digits(word)
        if len(number) >= 3 and number == word.replace("-", "").strip("()"):
            query = query.where(or_(starts, Patient.search.like(f"%{number} %")))
        else:
            query = query.where(starts)
    return list(
        db.session.scalars(
            query.order_by(Patient.family_name, Patient.given_name, Patient.id).limit(most)
        )
    )


def enquirers(*, most: int = 100) -> list[Patient]:
    """Return whoever booked online and is not yet linked or taken on, oldest first."""
    return list(
        db.session.scalars(
            select(Patient)
            .where(Patient.standing == Standing.ENQUIRER)
            .order_by(Patient.created_at)
            .limit(most)
        )
    )


def likely_same(
    person: Patient, *, standing: Standing = Standing.PATIENT, most: int = 6
) -> list[Patient]:
    """Return whom an enquirer may be: same mobile, e-mail, or whole name; known patients, say."""
    same: list[ColumnElement[bool]] = [
        (func.lower(Patient.family_name) == person.family_name.lower())
        & (func.lower(Patient.given_name) == person.given_name.lower())
    ]
    if person.mobile:
        same.append(Patient.mobile == person.mobile)
    if person.email:
        same.append(func.lower(Patient.email) == person.email.lower())
    if person.birth_date:
        same.append(
            (Patient.birth_date == person.birth_date)
            & (func.lower(Patient.family_name) == person.family_name.lower())
        )
    return list(
        db.session.scalars(
            select(Patient)
            .where(Patient.id != person.id, Patient.standing == standing, or_(*same))
            .order_by(Patient.family_name, Patient.given_name)
            .limit(most)
        )
    )


def with_mobile(number: str) -> list[Patient]:
    """Return everybody this number may belong to, known patients first."""
    return list(
        db.session.scalars(
            select(Patient)
            .where(
                or_(Patient.mobile == number, Patient.private_mobile == number),
                Patient.standing != Standing.MERGED,
            )
            .order_by(Patient.standing.desc(), Patient.id)
        )
    )
