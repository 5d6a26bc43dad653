"""How long an offer stands, whose turn it is, which times a wish takes. Inputs are arguments."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.core.timespan import PartOfDay

#: An offer never lasts longer than this share of the time that is left until its start.
SHARE_OF_WHAT_IS_LEFT = 4
SHORTEST_OFFER = timedelta(minutes=10)
#: A time is only worth offering instead of another when it is this much sooner.
SOONER_BY = timedelta(hours=2)


@dataclass(frozen=True)
class Fit:
    """When and where somebody could come. An empty collection means any."""

    since: datetime
    until: datetime
    site_ids: frozenset[int]
    weekdays: frozenset[int]
    parts: frozenset[PartOfDay]

    def takes(self, starts_at: datetime, site_id: int, zone: ZoneInfo) -> bool:
        """Say whether a start is one of theirs, by the clock on the site's wall."""
        wall = starts_at.astimezone(zone)
        return (
            self.since <= starts_at < self.until
            and _among(site_id, self.site_ids)
            and _among(wall.weekday(), self.weekdays)
            and _among(PartOfDay.of(wall.time()), self.parts)
        )


def offer_until(
    starts_at: datetime,
    zone: ZoneInfo,
    *,
    usual_minutes: int,
    same_day_minutes: int,
    now: datetime,
) -> datetime | None:
    """Return until when a start offered now stands; None when it is too near to be offered.

    As long as the site says, less on the same day, and never more than a quarter of the time that
    is left: somebody must be able to come after the last moment to say yes.
    """
    same_day = starts_at.astimezone(zone).date() == now.astimezone(zone).date()
    minutes = same_day_minutes if same_day else usual_minutes
    lasts = min(timedelta(minutes=minutes), (starts_at - now) / SHARE_OF_WHAT_IS_LEFT)
    lasts -= lasts % timedelta(minutes=1)
    return now + lasts if lasts >= SHORTEST_OFFER else None


def turn(needed_by: datetime | None, created_at: datetime, number: int) -> tuple[object, ...]:
    """Return the key by which wishes are sorted: the clinical window that ends first, then age."""
    return (needed_by is None, needed_by or created_at, created_at, number)


def _among(value: object, wanted: Collection[object]) -> bool:
    return not wanted or value in wanted
