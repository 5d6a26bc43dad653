"""Rules that staff may set aside with a reason: notice, horizon, and how many a nurse watches.

The law against two claims on one lane has no such door. Who is one nurse's visit too many gets a
lane of its own, which nothing offers, and stands on record as kept knowingly.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.audit import service as audit
from scheduler.booking import withdrawal
from scheduler.booking.errors import SoftRule
from scheduler.booking.models import Appointment
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import Offering

MOST_WORDS = 300
#: The action on record, beside the booking or the move it excuses.
SET_ASIDE = "appointment.rule-set-aside"


class Rule(enum.StrEnum):
    """What may be set aside."""

    NOTICE = "notice"
    HORIZON = "horizon"
    RATIO = "ratio"


@dataclass(frozen=True)
class Excuse:
    """Why something may be done all the same, and which rules whoever says so may set aside."""

    reason: str
    rules: frozenset[Rule]

    def sets_aside(self, rule: Rule) -> bool:
        """Say whether it is reason enough, from somebody who may give it."""
        return rule in self.rules and bool(self.reason.strip())


def insist(
    service: ServiceCode,
    starts_at: datetime,
    excuse: Excuse | None,
    *,
    now: datetime,
    was: datetime | None = None,
    but: Collection[Rule] = (),
) -> list[Rule]:
    """Return the rules that booking this start sets aside.

    Args:
        was: Where a visit that is moved stood; what it broke there already is not asked again.
        but: Rules that are not asked for, because something else settles them.

    Raises:
        SoftRule: it breaks one, and there is no reason from somebody who may give it.
    """
    offering = clinic_supply.current().services[service]
    broken = [rule for rule in _broken(offering, starts_at, now) if rule not in but]
    if was is not None:
        broken = [rule for rule in broken if rule not in _broken(offering, was, now)]
    for rule in broken:
        if excuse is None or not excuse.sets_aside(rule):
            raise SoftRule(_WORDS[rule].format(length=_length(offering, rule)), field="excuse")
    return broken


def note(
    appointment: Appointment,
    broken: list[Rule],
    excuse: Excuse | None,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Put on record which rules were set aside for an appointment, and why."""
    if excuse is None or not excuse.reason.strip():
        return
    reason = excuse.reason.strip()[:MOST_WORDS]
    if excuse.sets_aside(Rule.RATIO) and withdrawal.keep_from_start(
        appointment, reason, actor=actor, now=now
    ):
        broken = [*broken, Rule.RATIO]
    if broken:
        audit.record(
            SET_ASIDE,
            appointment.topic,
            actor=actor,
            now=now,
            patient_id=appointment.patient_id,
            rules=[rule.value for rule in broken],
            reason=reason,
        )


_WORDS = {
    Rule.NOTICE: "This is usually booked at least {length} ahead. Say why it may be sooner.",
    Rule.HORIZON: "This is usually booked at most {length} ahead. Say why it may be later.",
}


def _broken(offering: Offering, starts_at: datetime, now: datetime) -> list[Rule]:
    broken: list[Rule] = []
    if starts_at < now + offering.notice:
        broken.append(Rule.NOTICE)
    if starts_at >= now + offering.horizon:
        broken.append(Rule.HORIZON)
    return broken


def _length(offering: Offering, rule: Rule) -> str:
    span = offering.notice if rule is Rule.NOTICE else offering.horizon
    if span % timedelta(days=1) == timedelta():
        return "1 day" if span.days == 1 else f"{span.days} days"
    if span % timedelta(hours=1) == timedelta():
        hours = span // timedelta(hours=1)
        return "1 hour" if hours == 1 else f"{hours} hours"
    return f"{span // timedelta(minutes=1)} minutes"
