"""The wall time a patient was promised, against what the zone's rules make of the instant now.

Both are kept with each appointment. Governments change the rules of zones, sometimes with weeks
of notice; then one of the two must give way, and a person says which.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.booking.models import LIVE, Appointment
from scheduler.core.db import db
from scheduler.core.timespan import wall_text


@dataclass(frozen=True)
class Drift:
    """An appointment whose instant no longer shows what was promised; texts are ISO wall times."""

    public_id: str
    site: str
    starts_at: datetime
    promised: str
    shows: str


def drifted(*, now: datetime) -> list[Drift]:
    """Return the live appointments ahead whose promised wall time and instant came apart."""
    rows = db.session.scalars(
        select(Appointment)
        .where(Appointment.status.in_(LIVE), Appointment.starts_at >= now)
        .order_by(Appointment.starts_at, Appointment.id)
    )
    found = []
    for row in rows:
        shows = wall_text(row.starts_at, ZoneInfo(row.zone_name))
        if shows != row.wall_start:
            found.append(Drift(row.public_id, row.site.code, row.starts_at, row.wall_start, shows))
    return found
