"""How a course goes: pain and PEG over time, side effects by session, windows and visits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from scheduler.booking.models import Appointment
from scheduler.core.db import db
from scheduler.plans import relief
from scheduler.plans.models import Assessment, Plan, PlannedVisit, VisitState
from scheduler.reports import session
from scheduler.treatment import queries as treatment
from scheduler.treatment import rules
from scheduler.treatment.models import EventKind


@dataclass(frozen=True)
class Sitting:
    """One infusion of the course as it went."""

    name: str  # "First visit", "Visit 3"
    appointment: Appointment
    began: datetime
    before: int | None  # pain, 0 to 10
    after: int | None
    effects: Sequence[str]
    worst: int  # severity of the worst, 0 none to 3 severe
    lasted: str | None  # how long relief lasted, and how that is known


@dataclass(frozen=True)
class Progress:
    """Everything that is drawn of a course, and said in its tables."""

    sittings: Sequence[Sitting]
    pain: Sequence[tuple[datetime, int, str]]
    peg: Sequence[tuple[datetime, float, str]]
    visits: Sequence[PlannedVisit]  # dropped ones left out

    @property
    def change(self) -> tuple[int, int] | None:
        """The first and the newest pain score, when there are two."""
        ordered = sorted(self.pain)
        return (ordered[0][1], ordered[-1][1]) if len(ordered) > 1 else None


def of_plan(plan: Plan) -> Progress:
    """Return how a course has gone so far."""
    lasted = {r.on: f"{r.words} ({r.origin})" for r in relief.known(plan)}
    names = {v.appointment_id: f"Visit {v.number}" for v in plan.visits}
    sittings = [
        _sitting(a, names.get(a.id, "First visit"), lasted.get(_day(a)))
        for a in relief.infusions(plan)
    ]
    pain = [
        (moment, score, f"{words} {s.name.lower()}")
        for s in sittings
        for moment, score, words in _scores(s)
    ]
    chats = _assessments(plan)
    first = plan.assessment
    if sittings and sittings[0].before is None:
        pain.append((sittings[0].began, first.baseline, "before first visit"))
    pain += [(a.recorded_at, a.score, "at the chat") for a in chats]
    peg = [(a.recorded_at, _mean(a.peg_since), "PEG at the chat") for a in chats if a.peg_since]
    if sittings and first.peg_before:
        peg.append((sittings[0].began, _mean(first.peg_before), "PEG before first visit"))
    peg += [(r.recorded_at, _mean(r.scores), "PEG on the way") for r in relief.peg_reports(plan)]
    return Progress(
        sittings=sittings,
        pain=sorted(pain),
        peg=sorted(peg),
        visits=[v for v in plan.visits if v.state is not VisitState.OMITTED],
    )


def _sitting(appointment: Appointment, name: str, lasted: str | None) -> Sitting:
    lines = treatment.lines(appointment.id)
    started = rules.first(lines, EventKind.START)
    return Sitting(
        name=name,
        appointment=appointment,
        began=started.at if started else appointment.starts_at,
        before=rules.score(lines, "baseline"),
        after=rules.score(lines, "after"),
        effects=[session.words(x.kind, x.data) for x in lines if x.kind is EventKind.SIDE_EFFECT],
        worst=rules.worst_severity(lines),
        lasted=lasted,
    )


def _scores(sitting: Sitting) -> list[tuple[datetime, int, str]]:
    words = {"baseline": "before", "during": "during", "after": "after"}
    return [
        (line.at, int(line.data["score"]), words[line.data["when"]])
        for line in treatment.lines(sitting.appointment.id)
        if line.kind is EventKind.SCORE
    ]


def _assessments(plan: Plan) -> list[Assessment]:
    """Return the newest assessment of each infusion of the course."""
    ids = [a.id for a in relief.infusions(plan)]
    rows = db.session.scalars(
        select(Assessment).where(Assessment.infusion_id.in_(ids)).order_by(Assessment.id)
    )
    return list({row.infusion_id: row for row in rows}.values())


def _mean(scores: Sequence[int]) -> float:
    return round(sum(scores) / len(scores), 1)


def _day(appointment: Appointment) -> date:
    return appointment.starts_at.astimezone(appointment.site.zone).date()
