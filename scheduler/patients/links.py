"""A patient's private way to one appointment. The link's secret is never stored."""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from scheduler.core.db import db
from scheduler.core.tokens import digest, mint
from scheduler.patients.models import ManageLink, Patient

PURPOSE = "manage-link"
FEED_LIVES = timedelta(days=730)


def mint_link(patient: Patient, topic: str, *, expires_at: datetime, now: datetime) -> str:
    """Make a new link to `topic` and return its secret. Earlier ones go on working."""
    token = mint()
    db.session.add(
        ManageLink(
            token_hash=digest(token, PURPOSE),
            patient_id=patient.id,
            topic=topic,
            created_at=now,
            expires_at=expires_at,
        )
    )
    db.session.flush()
    return token


def open_link(token: str, *, now: datetime) -> ManageLink | None:
    """Return the link a secret opens; unknown, expired and revoked all look like None."""
    link = db.session.scalar(
        select(ManageLink).where(ManageLink.token_hash == digest(token, PURPOSE))
    )
    if link is None or link.revoked_at is not None or link.expires_at <= now:
        return None
    return link


def revoke_links(patient_id: int, *, now: datetime) -> None:
    """Close every link of a patient."""
    db.session.execute(
        update(ManageLink)
        .where(ManageLink.patient_id == patient_id, ManageLink.revoked_at.is_(None))
        .values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )


def renew_feed(patient: Patient, *, now: datetime) -> str:
    """Make a patient's calendar address anew and return its secret; the old one closes."""
    close_feed(patient, now=now)
    return mint_link(patient, _feed_topic(patient), expires_at=now + FEED_LIVES, now=now)


def close_feed(patient: Patient, *, now: datetime) -> None:
    """Close a patient's calendar address, if there is one."""
    db.session.execute(
        update(ManageLink)
        .where(ManageLink.topic == _feed_topic(patient), ManageLink.revoked_at.is_(None))
        .values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )


def feed_since(patient: Patient, *, now: datetime) -> datetime | None:
    """Return since when a patient has a calendar address, or None."""
    return db.session.scalar(
        select(ManageLink.created_at)
        .where(
            ManageLink.topic == _feed_topic(patient),
            ManageLink.revoked_at.is_(None),
            ManageLink.expires_at > now,
        )
        .order_by(ManageLink.id.desc())
        .limit(1)
    )


def _feed_topic(patient: Patient) -> str:
    return f"feed:{patient.id}"


def extend_links(topic: str, *, expires_at: datetime) -> None:
    """Let the links to a topic live until a new moment: it was moved. None is cut short."""
    db.session.execute(
        update(ManageLink)
        .where(
            ManageLink.topic == topic,
            ManageLink.revoked_at.is_(None),
            ManageLink.expires_at < expires_at,
        )
        .values(expires_at=expires_at),
        execution_options={"synchronize_session": False},
    )
