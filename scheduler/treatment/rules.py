"""Decisions on the record of the chair: pure functions of its lines and of now."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scheduler.treatment import vocabulary
from scheduler.treatment.models import Answer, Decision, EventKind

#: After so long without a record, a check-in that nobody closed says nothing of the time to come.
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Line:
    """One line of the record as it counts now: amendments applied, struck lines gone."""

    id: int  # of the line first written
    kind: EventKind
    at: datetime
    data: Mapping[str, Any]
    note: str | None
    recorded_by: str
    recorded_at: datetime
    signed_by_id: int | None
    reason: str | None
    is_amended: bool


class Stage(enum.StrEnum):
    """Where somebody is between the door and the way home."""

    WAITING = "waiting"  # nothing is recorded, or not all readiness
    READY = "ready"  # every question before the start is answered well
    INFUSING = "infusing"
    RECOVERING = "recovering"
    SAFE = "safe"  # signed: may go home
    GONE = "gone"


@dataclass(frozen=True)
class ChairState:
    """What the board shows: "infusing 23 of 40"."""

    stage: Stage
    since: datetime | None  # when the stage began
    minutes: int  # whole minutes in it
    of: int | None  # planned minutes, for infusing and recovering
    is_look_due: bool = False  # their vital signs should have been taken by now


@dataclass(frozen=True)
class Release:
    """When chair and nurse are expected to be free."""

    person_at: datetime
    chair_at: datetime


@dataclass(frozen=True)
class ClockTimes:
    """By when, before a visit: moments, so that a night in which the clocks change is right."""

    heavy: datetime  # nothing heavy or fatty after
    light: datetime  # nothing to eat after
    drink: datetime  # nothing to drink after
    medicines: datetime  # usual medicines are taken by


def clock_times(
    starts_at: datetime,
    *,
    heavy_hours: int,
    light_hours: int,
    drink_hours: int,
    medicines_hours: int,
) -> ClockTimes:
    """Count back from the start of a visit, in hours that really pass."""
    return ClockTimes(
        heavy=starts_at - timedelta(hours=heavy_hours),
        light=starts_at - timedelta(hours=light_hours),
        drink=starts_at - timedelta(hours=drink_hours),
        medicines=starts_at - timedelta(hours=medicines_hours),
    )


def state(
    lines: Sequence[Line], *, now: datetime, infusion_minutes: int, recovery_minutes: int
) -> ChairState:
    """Return where the patient is: a pure function of the record and of now."""

    def at(kind: EventKind, stage: Stage, of: int | None = None) -> ChairState | None:
        line = first(lines, kind)
        if line is None:
            return None
        return ChairState(stage, line.at, _minutes(line.at, now), of)

    found = (
        at(EventKind.GONE, Stage.GONE)
        or at(EventKind.SAFE, Stage.SAFE)
        or at(EventKind.END, Stage.RECOVERING, recovery_minutes)
        or at(EventKind.START, Stage.INFUSING, infusion_minutes)
    )
    if found is not None:
        return found
    if not unready(lines):
        ready_at = max(line.at for line in lines if line.kind is EventKind.READINESS)
        return ChairState(Stage.READY, ready_at, _minutes(ready_at, now), None)
    return ChairState(Stage.WAITING, None, 0, None)


def first(lines: Sequence[Line], kind: EventKind) -> Line | None:
    """Return the first line of a kind that counts, or None."""
    return next((line for line in lines if line.kind is kind), None)


def latest_items(lines: Sequence[Line], kind: EventKind) -> dict[str, bool]:
    """Return, for a list answered item by item, the newest answer to each."""
    return {
        str(line.data["item"]): bool(line.data["is_met"]) for line in lines if line.kind is kind
    }


def unready(lines: Sequence[Line]) -> list[str]:
    """Return the readiness items not answered, or answered with no, in the order of the list."""
    said = latest_items(lines, EventKind.READINESS)
    return [item for item in vocabulary.READINESS if not said.get(item, False)]


def points(lines: Sequence[Line]) -> dict[str, int]:
    """Return the newest points of each item of going home that was looked at."""
    found = {}
    for line in lines:
        if line.kind is EventKind.DISCHARGE:
            met = vocabulary.MOST_POINTS if line.data.get("is_met") else 0
            found[str(line.data["item"])] = int(line.data.get("points", met))
    return found


@dataclass(frozen=True)
class Limits:
    """What a site asks for before somebody goes home."""

    score_least: int
    pressure_percent: int  # how far the upper pressure may be from where it began
    oxygen_least: int


@dataclass(frozen=True)
class Criterion:
    """One thing that must be so before somebody goes home, and how it stands."""

    words: str
    found: str
    is_met: bool


def going_home(lines: Sequence[Line], limits: Limits) -> list[Criterion]:
    """Return how the criteria stand by the record; the escort is seen by whoever signs."""
    return [_score_stands(lines, limits), *_vitals_stand(lines, limits)]


def _score_stands(lines: Sequence[Line], limits: Limits) -> Criterion:
    given = points(lines)
    left = [words for item, words in vocabulary.DISCHARGE.items() if item not in given]
    total = sum(given.values())
    most = vocabulary.MOST_POINTS * len(vocabulary.DISCHARGE)
    found = f"not looked at: {', '.join(left)}" if left else f"{total} of {most}"
    return Criterion(
        f"A score of at least {limits.score_least} of {most}",
        found,
        not left and total >= limits.score_least,
    )


def _vitals_stand(lines: Sequence[Line], limits: Limits) -> list[Criterion]:
    began = first_place(lines, EventKind.START)
    ended = first_place(lines, EventKind.END)
    before = _newest(lines[:began], "systolic")
    after = lines[ended:]
    pressure, oxygen = _newest(after, "systolic"), _newest(after, "oxygen")
    off = round(abs(pressure - before) * 100 / before) if pressure and before else None
    missing = "not measured since the drip ended" if pressure is None else "not measured before"
    return [
        Criterion(
            f"Upper pressure within {limits.pressure_percent} %"
            + (f" of {before}" if before else " of where it began"),
            missing if off is None else f"{pressure}, {off} % off",
            off is not None and off <= limits.pressure_percent,
        ),
        Criterion(
            f"Oxygen at least {limits.oxygen_least} %",
            "not measured since the drip ended" if oxygen is None else f"{oxygen} %",
            oxygen is not None and oxygen >= limits.oxygen_least,
        ),
    ]


def first_place(lines: Sequence[Line], kind: EventKind) -> int:
    """Return where the first line of a kind stands; after the last when there is none."""
    return next((n for n, line in enumerate(lines) if line.kind is kind), len(lines))


def _newest(lines: Sequence[Line], reading: str) -> int | None:
    found = [
        int(line.data[reading])
        for line in lines
        if line.kind is EventKind.VITALS and reading in line.data
    ]
    return found[-1] if found else None


def next_observation(
    lines: Sequence[Line], *, first_minutes: int, every_minutes: int, recovery_minutes: int
) -> datetime | None:
    """Return when vital signs are due next; None before the start and once they may go home.

    Counted from the last ones, so that who looked early is not asked again at once.
    """
    started = first(lines, EventKind.START)
    if started is None or first(lines, EventKind.SAFE) is not None:
        return None
    seen = [line.at for line in lines if line.kind is EventKind.VITALS and line.at > started.at]
    if not seen:
        return started.at + timedelta(minutes=first_minutes)
    recovering = first(lines, EventKind.END) is not None
    return seen[-1] + timedelta(minutes=recovery_minutes if recovering else every_minutes)


def score(lines: Sequence[Line], when: str) -> int | None:
    """Return the newest pain score of a moment: "baseline", "during" or "after"."""
    found = [
        int(line.data["score"])
        for line in lines
        if line.kind is EventKind.SCORE and line.data["when"] == when
    ]
    return found[-1] if found else None


def worst_severity(lines: Sequence[Line]) -> int:
    """Return the worst severity of the side effects: 0 when there was none, 3 is severe."""
    return max(
        (int(line.data["severity"]) for line in lines if line.kind is EventKind.SIDE_EFFECT),
        default=0,
    )


def release(
    lines: Sequence[Line],
    *,
    now: datetime,
    infusion_minutes: int,
    recovery_minutes: int,
    turnover_minutes: int,
) -> Release | None:
    """Return when nurse and chair will be free by what is recorded; None before the start.

    While the drip runs beyond its time it is expected to end now; safe-to-go ends the recovery.
    """
    started = first(lines, EventKind.START)
    if started is None:
        return None
    ended = first(lines, EventKind.END)
    safe = first(lines, EventKind.SAFE)
    if safe is not None:
        free = safe.at
    elif ended is not None:
        free = max(ended.at + timedelta(minutes=recovery_minutes), now)
    else:
        over = max(started.at + timedelta(minutes=infusion_minutes), now)
        free = over + timedelta(minutes=recovery_minutes)
    return Release(free, free + timedelta(minutes=turnover_minutes))


def release_before_start(
    *,
    starts_at: datetime,
    ends_at: datetime,
    arrived_at: datetime,
    until_drip: timedelta,
    turnover: timedelta,
    now: datetime,
) -> Release:
    """Return when nurse and chair will be free of somebody who is here, or on the line.

    Who came late ends late; while what follows the preparation has not begun, it begins now.
    Whom nobody closes is followed for an hour only, not to the end of the day.

    Args:
        until_drip: How long until the part that is timed by a record; of a call, all of it.
    """
    due = max(starts_at, arrived_at) + until_drip
    begins = max(due, min(now, due + LONGEST_WAIT))
    free = begins + (ends_at - starts_at - until_drip)
    return Release(free, free + turnover)


def in_the_way(answers: Mapping[str, Answer | None], measured: Mapping[str, bool]) -> list[str]:
    """Return, in words, what keeps a screening from being signed as cleared.

    Args:
        answers: By contraindication; None is not asked yet. Unknown counts as there.
        measured: By item of `vocabulary.MEASURES`, whether it is recorded.
    """
    words: list[str] = []
    for item, said in vocabulary.CONTRAINDICATIONS.items():
        answer = answers.get(item)
        if answer is Answer.YES:
            words.append(f"{said}: yes")
        elif answer is Answer.UNKNOWN:
            words.append(f"{said}: not known")
        elif answer is None:
            words.append(f"{said}: not asked yet")
    words.extend(f"{s}: missing" for item, s in vocabulary.MEASURES.items() if not measured[item])
    return words


def still_holds(
    decision: Decision | None, signed: Mapping[str, object], newest: Mapping[str, object]
) -> bool:
    """Say whether a signature stands: it cleared, and every item is answered as it was then."""
    return decision is Decision.CLEARED and dict(signed) == dict(newest)


def _minutes(since: datetime, now: datetime) -> int:
    return max(int((now - since).total_seconds() // 60), 0)
