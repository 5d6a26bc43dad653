"""What suits a patient: the days, the part of the day and the site of a plan's visits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from scheduler.core.db import db
from scheduler.plans import approval
from scheduler.plans.models import Plan, PlanWishes
from scheduler.plans.optimiser import Start

PARTS = ("morning", "afternoon")
#: From then on it is afternoon, to a patient who cannot come in the morning.
NOON = 12 * 60


@dataclass(frozen=True)
class Preferences:
    """What suits the patient. Wished: weekdays and site. Demanded: all the rest."""

    weekdays: frozenset[int] = frozenset()  # Monday is 0; wished for, not demanded
    can: frozenset[int] = frozenset()  # the weekdays on which they can come; empty: any
    escort: frozenset[int] = frozenset()  # on which somebody can take them home; empty: any
    part: str | None = None  # "morning" or "afternoon": only then
    blocked: frozenset[date] = frozenset()  # never on these days
    site_id: int | None = None  # rather there; the plan's site otherwise
    only_site: bool = False  # and nowhere else

    def as_data(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "weekdays": sorted(self.weekdays),
            "can": sorted(self.can),
            "escort": sorted(self.escort),
            "part": self.part,
            "blocked": sorted(day.isoformat() for day in self.blocked),
            "site_id": self.site_id,
            "only_site": self.only_site,
        }

    @classmethod
    def restored(cls, data: Mapping[str, Any]) -> "Preferences":
        """Return them from what was stored."""
        return cls(
            weekdays=frozenset(data["weekdays"]),
            can=frozenset(data["can"]),
            escort=frozenset(data["escort"]),
            part=data["part"],
            blocked=frozenset(date.fromisoformat(day) for day in data["blocked"]),
            site_id=data["site_id"],
            only_site=data["only_site"],
        )

    def barred(self, start: Start) -> frozenset[str]:
        """Return, in words, what keeps them from a free start; empty when nothing does."""
        weekday = (start.day - 1) % 7
        found = set()
        if date.fromordinal(start.day) in self.blocked:
            found.add("the days on which they cannot come")
        if self.can and weekday not in self.can:
            found.add("the weekdays on which they can come")
        if self.escort and weekday not in self.escort:
            found.add("their escort's days")
        if self.part and (start.minute < NOON) != (self.part == "morning"):
            found.add("the part of the day they can come")
        if self.only_site and start.site_id != self.site_id:
            found.add("the one clinic they can come to")
        return frozenset(found)


def kept(plan: Plan) -> Preferences:
    """Return what suits the patient, as it was last kept."""
    row = db.session.get(PlanWishes, plan.id)
    return Preferences.restored(row.wishes) if row else Preferences()


def keep(plan: Plan, prefer: Preferences, *, actor: str, now: datetime) -> None:
    """Keep what suits the patient: for previews, offers and whatever is placed anew."""
    # Two at once would both find nothing kept yet: the plan is there to be locked.
    db.session.scalar(select(Plan.id).where(Plan.id == plan.id).with_for_update())
    row = db.session.get(PlanWishes, plan.id, with_for_update=True)
    if row is None:
        row = PlanWishes(plan_id=plan.id)
        db.session.add(row)
    row.wishes, row.changed_at, row.changed_by = prefer.as_data(), now, actor
    db.session.flush()
    approval.note(plan, "plan.wishes", actor=actor, now=now)
