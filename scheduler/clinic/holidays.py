"""Public holidays: asked of each site, never closed by themselves."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import holidays as calendar
from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.clinic.models import HolidayAnswer, Site
from scheduler.core.db import db
from scheduler.core.errors import NotFound, Stale

COUNTRY, STATE = "US", "MA"
AHEAD = timedelta(days=400)


@dataclass(frozen=True)
class Holiday:
    """A public holiday ahead, and what a site decided of it: None, nobody has yet."""

    day: date
    name: str
    is_closed: bool | None


def ahead(site: Site, *, now: datetime) -> list[Holiday]:
    """Return the public holidays of the next thirteen months, federal and of the state."""
    today = now.astimezone(site.zone).date()
    last = today + AHEAD
    years = range(today.year, last.year + 1)
    answers = answers_of(site)
    return [
        Holiday(day, name, answers[day].is_closed if day in answers else None)
        for day, name in sorted(
            calendar.country_holidays(COUNTRY, subdiv=STATE, years=years, language="en_US").items()
        )
        if today <= day <= last
    ]


def holiday_on(site: Site, day: date, *, now: datetime) -> Holiday:
    """Return the public holiday of one day.

    Raises:
        NotFound: that day is none.
    """
    found = next((h for h in ahead(site, now=now) if h.day == day), None)
    if found is None:
        raise NotFound("That day is no public holiday.")
    return found


def answer_holiday(
    site: Site, day: date, name: str, *, is_closed: bool, actor: str, now: datetime
) -> None:
    """Decide of a public holiday whether a site is shut that day.

    Raises:
        Stale: somebody decided it already.
    """
    if db.session.get(HolidayAnswer, (site.id, day)) is not None:
        raise Stale("Somebody has decided this day already.")
    db.session.add(
        HolidayAnswer(
            site_id=site.id,
            day=day,
            name=name,
            is_closed=is_closed,
            decided_by=actor,
            decided_at=now,
        )
    )
    db.session.flush()
    audit.record(
        "holiday.decided",
        f"site:{site.id}",
        actor=actor,
        now=now,
        day=day.isoformat(),
        name=name,
        closed=is_closed,
    )


def forget_holiday(site: Site, day: date, *, actor: str, now: datetime) -> None:
    """Take a decision on a holiday back, so that it is asked again; a closure stays."""
    row = db.session.get(HolidayAnswer, (site.id, day))
    if row is None:
        return
    db.session.delete(row)
    db.session.flush()
    audit.record("holiday.reopened", f"site:{site.id}", actor=actor, now=now, day=day.isoformat())


def answers_of(site: Site) -> dict[date, HolidayAnswer]:
    """Return what a site decided, by day."""
    rows = db.session.scalars(select(HolidayAnswer).where(HolidayAnswer.site_id == site.id))
    return {row.day: row for row in rows}
