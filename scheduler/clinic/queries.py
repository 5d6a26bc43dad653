"""Reads of the supply."""

from sqlalchemy import select

from scheduler.clinic.models import Lane, Site
from scheduler.core.db import db
from scheduler.core.errors import NotFound


def sites() -> list[Site]:
    """Return every site, in the order they were opened."""
    return list(db.session.scalars(select(Site).order_by(Site.id)))


def site_called(code: str) -> Site:
    """Return the site with this code.

    Raises:
        NotFound: there is none.
    """
    site = db.session.scalar(select(Site).where(Site.code == code))
    if site is None:
        raise NotFound("We have no clinic of that name.")
    return site


def lane_of(resource_id: int) -> int | None:
    """Return the first lane of a resource: of a patient, the only one."""
    return db.session.scalar(
        select(Lane.id).where(Lane.resource_id == resource_id).order_by(Lane.number).limit(1)
    )
