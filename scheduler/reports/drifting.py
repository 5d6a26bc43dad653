"""Who is drifting off their course, of whatever kind: one list, the most pressing first."""

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import db
from scheduler.core.timespan import instant
from scheduler.patients.models import Patient
from scheduler.plans import previews
from scheduler.plans import queries as plans
from scheduler.plans.models import SIGNED, FollowUp, Plan, PlannedVisit, VisitState
from scheduler.plans.previews import BestOffers
from scheduler.plans.queries import ChatStanding

#: A draft may wait so long for its signature before it is drifting.
DRAFT_MAY_WAIT = timedelta(days=1)


class Kind(StrEnum):
    """What is drifting."""

    VISIT = "visit"  # the next visit is not booked inside its window
    REVIEW = "review"  # a plan's review is due
    DRAFT = "draft"  # a plan nobody signed
    CHAT = "chat"  # a chat whose days are over


@dataclass(frozen=True)
class Drifting:
    """Somebody who drifts: why, since when, and what could be done about it."""

    kind: Kind
    patient: Patient
    why: str
    since: datetime
    presses_at: datetime  # what is ordered by: the earlier, the more pressing
    plan: Plan | None = None
    visit: PlannedVisit | None = None
    owed: FollowUp | None = None
    best: BestOffers | None = None


def drifting(*, now: datetime, book_too: bool = True) -> list[Drifting]:
    """Return everybody who drifts off their course, the most pressing first.

    Args:
        book_too: Whether to look up the best three times of each visit, for who may book.
    """
    found = [*_visits(now=now), *_reviews(now=now), *_drafts(now=now), *_chats(now=now)]
    found.sort(key=lambda d: (d.presses_at, d.patient.id))
    if not book_too:
        return found
    to_place = [
        d.visit for d in found if d.visit is not None and d.visit.state is VisitState.TO_PLACE
    ]
    best = previews.best_offers_of(to_place, now=now)
    known = {visit.id: offers for visit, offers in zip(to_place, best, strict=True)}
    return [replace(d, best=known.get(d.visit.id)) if d.visit else d for d in found]


def _visits(*, now: datetime) -> list[Drifting]:
    return [
        Drifting(
            Kind.VISIT, f.plan.patient, f.why, f.since, f.visit.latest, plan=f.plan, visit=f.visit
        )
        for f in plans.falling_off(now=now)
    ]


def _reviews(*, now: datetime) -> list[Drifting]:
    """Return running plans with nothing ahead, whose review is due."""
    wanted = (
        select(Plan)
        .where(
            Plan.state.in_(SIGNED),
            Plan.review_on.is_not(None),
            ~plans.has_visits_ahead(),
            Plan.patient_id.in_(plans.alive()),
        )
        .options(selectinload(Plan.visits))
    )
    found = []
    for plan in db.session.scalars(wanted).unique():
        assert plan.review_on is not None
        zone = clinic_supply.current().sites[plan.site_id].zone
        due = instant(plan.review_on, time(0), zone)
        if due <= now:
            why = "All visits are held, and the review is due."
            found.append(Drifting(Kind.REVIEW, plan.patient, why, due, due, plan=plan))
    return found


def _drafts(*, now: datetime) -> list[Drifting]:
    return [
        Drifting(
            Kind.DRAFT,
            plan.patient,
            "The plan is not signed yet.",
            plan.changed_at,
            plan.changed_at + DRAFT_MAY_WAIT,
            plan=plan,
        )
        for plan in plans.drafts()
        if plan.changed_at + DRAFT_MAY_WAIT <= now
    ]


def _chats(*, now: datetime) -> list[Drifting]:
    return [
        Drifting(
            Kind.CHAT,
            due.owed.patient,
            "The days of the chat are over, and it was not held.",
            due.owed.due_until,
            due.owed.due_until,
            owed=due.owed,
        )
        for due in plans.chats_due(now=now)
        if due.standing is ChatStanding.OVERDUE
    ]
