"""When a site is open, and when it is shut although its hours say open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.clinic import rules, service
from scheduler.clinic.marks import insist_unchanged, mark
from scheduler.clinic.models import (
    Closure,
    OpeningHours,
    Resource,
    ResourceKind,
    Shift,
    Site,
    TimeOff,
)
from scheduler.clinic.service import supply_changed
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound
from scheduler.core.timespan import TimeSpan

_Weekly = TypeVar("_Weekly", OpeningHours, Shift)


@dataclass(frozen=True)
class Period:
    """On which weekdays (Monday is 0), from which day on, and up to which (None: for good)."""

    weekdays: tuple[int, ...]
    since: date
    until: date | None = None

    def check(self) -> None:
        """Refuse what is no period.

        Raises:
            Invalid: no weekday, a last day before the first, or none of the weekdays in it.
        """
        if not self.weekdays or not set(self.weekdays) <= set(range(7)):
            raise Invalid("Choose at least one day of the week.", field="weekdays")
        rules.check_validity(self.since, self.until)
        rules.check_weekdays(self.weekdays, self.since, self.until)

    def touches(self, row: OpeningHours | Shift) -> bool:
        """Say whether a weekly row holds on any day of this period."""
        over = row.valid_until is not None and row.valid_until < self.since
        later = self.until is not None and row.valid_from > self.until
        return row.weekday in self.weekdays and not over and not later

    def spelled(self) -> dict[str, object]:
        """Return it for the record."""
        return {
            "weekdays": list(self.weekdays),
            "since": self.since.isoformat(),
            "until": self.until.isoformat() if self.until else None,
        }


def not_over(rows: Iterable[_Weekly], today: date) -> list[_Weekly]:
    """Return the weekly rows that still hold, or will."""
    return [r for r in rows if r.valid_until is None or r.valid_until >= today]


def hours_of(site: Site) -> Sequence[OpeningHours]:
    """Return every row of a site's hours, in the order of the week, then of time."""
    return db.session.scalars(
        select(OpeningHours)
        .where(OpeningHours.site_id == site.id)
        .order_by(OpeningHours.weekday, OpeningHours.valid_from, OpeningHours.opens)
    ).all()


def set_hours(
    site: Site,
    period: Period,
    hours: tuple[time, time] | None,
    *,
    seen: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Say when a site is open in a period instead of what stands there; None: shut.

    What stands before and after the period stays.

    Raises:
        Invalid: no weekday, a last day before the first, hours that end before they begin.
        ChangedMeanwhile: as its name says.
    """
    subject = f"hours:{site.id}"
    insist_unchanged(subject, mark(*hours_of(site)), seen)
    period.check()
    if hours is not None:
        rules.check_hours(*hours, first="opens", last="closes")
    make_room(hours_of(site), period)
    if hours is not None:
        service.open_weekly(
            site, period.weekdays, *hours, valid_from=period.since, valid_until=period.until
        )
    supply_changed()
    db.session.flush()
    audit.record(
        "hours.set",
        subject,
        actor=actor,
        now=now,
        hours=[h.isoformat("minutes") for h in hours] if hours else None,
        period=period.spelled(),
    )


def make_room(rows: Sequence[OpeningHours] | Sequence[Shift], period: Period) -> None:
    """Cut a period out of weekly rows: end them before it, and begin them again after it."""
    for row in rows:
        if not period.touches(row):
            continue
        goes_on = period.until is not None and (
            row.valid_until is None or row.valid_until > period.until
        )
        if goes_on:
            assert period.until is not None
            db.session.add(_again(row, period.until + timedelta(days=1)))
        if row.valid_from < period.since:
            row.valid_until = period.since - timedelta(days=1)
        else:
            db.session.delete(row)
    db.session.flush()


def _again(row: OpeningHours | Shift, since: date) -> OpeningHours | Shift:
    if isinstance(row, OpeningHours):
        return OpeningHours(
            site_id=row.site_id,
            weekday=row.weekday,
            opens=row.opens,
            closes=row.closes,
            valid_from=since,
            valid_until=row.valid_until,
        )
    return Shift(
        resource_id=row.resource_id,
        site_id=row.site_id,
        weekday=row.weekday,
        since=row.since,
        until=row.until,
        valid_from=since,
        valid_until=row.valid_until,
    )


def closures(*, now: datetime, site: Site | None = None) -> Sequence[Closure]:
    """Return closures that are not over, in order; of one site when asked."""
    wanted = select(Closure).where(Closure.ends_at > now)
    if site is not None:
        wanted = wanted.where(Closure.site_id == site.id)
    return db.session.scalars(wanted.order_by(Closure.starts_at, Closure.id)).all()


def closure(number: int) -> Closure:
    """Return a closure.

    Raises:
        NotFound: it was taken back already, or never was.
    """
    found = db.session.get(Closure, number)
    if found is None:
        raise NotFound("This closure was taken back already.")
    return found


def close(
    site: Site,
    span: TimeSpan,
    reason: str,
    *,
    chairs: Sequence[Resource] = (),
    actor: str,
    now: datetime,
) -> list[Closure]:
    """Shut a site for a span, or some of its chairs.

    Raises:
        Invalid: no reason, a span that is over or far too long, a chair of another site.
    """
    rules.check_span(span.start, span.end, now=now)
    reason = rules.check_reason(reason)
    if any(c.site_id != site.id or c.kind is not ResourceKind.CHAIR for c in chairs):
        raise Invalid("Choose chairs of this clinic.", field="chairs")
    return [
        service.close(site, span.start, span.end, reason, chair=chair, actor=actor, now=now)
        for chair in (chairs or (None,))
    ]


def reopen(row: Closure, *, actor: str, now: datetime) -> None:
    """Take a closure back; what of it has passed stays."""
    audit.record(
        "closure.ended",
        f"closure:{row.id}",
        actor=actor,
        now=now,
        site=row.site_id,
        chair=row.resource_id,
        since=row.starts_at.isoformat(),
        until=row.ends_at.isoformat(),
        reason=row.reason,
    )
    end_early(row, now=now)


def end_early(row: Closure | TimeOff, *, now: datetime) -> None:
    """End it now, on a step of five minutes; what has not begun is gone altogether."""
    stepped = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
    if row.starts_at < stepped:
        row.ends_at = min(row.ends_at, stepped)
    else:
        db.session.delete(row)
    db.session.flush()
    supply_changed()
