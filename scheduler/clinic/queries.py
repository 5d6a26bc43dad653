"""Reads of the supply."""

from sqlalchemy import bindparam, select

from scheduler.clinic.models import Lane, Site
from scheduler.core.db import db, table_of
from scheduler.core.errors import NotFound

_lane = table_of(Lane).c
_LANE = (
    select(_lane.id)
    .where(_lane.resource_id == bindparam("resource"))
    .order_by(_lane.number)
    .limit(1)
)


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
    return db.session.scalar(_LANE, {"resource": resource_id})
