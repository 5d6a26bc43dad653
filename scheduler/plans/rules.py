"""Decisions on a course: what the protocol says of a response, and the windows that follow."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.core.timespan import day_span, instant
from scheduler.patients.models import Pain
from scheduler.plans.models import Impression
from scheduler.plans.protocol import (
    Act,
    Combination,
    Mood,
    Phase,
    Protocol,
    Response,
    Tolerability,
    percent_less,
)

IMPRESSIONS: dict[Impression, str] = {
    Impression.VERY_MUCH_BETTER: "very much better",
    Impression.MUCH_BETTER: "much better",
    Impression.A_LITTLE_BETTER: "a little better",
    Impression.NO_CHANGE: "no change",
    Impression.A_LITTLE_WORSE: "a little worse",
    Impression.MUCH_WORSE: "much worse",
    Impression.VERY_MUCH_WORSE: "very much worse",
}
CONDITIONS: dict[Pain, str] = {
    Pain.DIABETIC: "nerve pain from diabetes",
    Pain.CRPS: "CRPS",
    Pain.FIBROMYALGIA: "fibromyalgia",
    Pain.HERPETIC: "nerve pain after shingles",
    Pain.SCLEROSIS: "multiple sclerosis",
    Pain.COMPRESSION: "a pressed nerve",
    Pain.INFLAMMATORY: "inflammation",
    Pain.CIRCULATION: "poor circulation",
    Pain.OTHER: "another condition",
    Pain.UNSURE: "a condition not yet named",
}
SEVERITY_WORDS = {0: "no side effect", 1: "mild", 2: "moderate", 3: "severe"}
RESPONSE_WORDS = {
    Response.NONE: "No response",
    Response.PARTIAL: "Partial response",
    Response.SUBSTANTIAL: "Substantial response",
    Response.UNCLEAR: "Response unclear",
}
ACT_WORDS = {
    Act.STOP: "a plan to stop",
    Act.REFER: "a plan to refer",
    Act.REVIEW: "a clinician's own decision",
}


@dataclass(frozen=True)
class Inputs:
    """What a follow-up chat found out, as the table needs it."""

    baseline: int
    score: int
    relief_days: int
    relief_holds: bool
    condition: Pain
    worst_severity: int
    impression: Impression
    peg_before: Sequence[int] | None = None  # pain, enjoyment, general activity: 0 to 10 each
    peg_since: Sequence[int] | None = None
    phq9: int | None = None  # 0 to 27


@dataclass(frozen=True)
class Reason:
    """Why, in words, with the rule it comes from and its numbers."""

    rule: str  # "R2", "C1", "T1", "M1", "P7", "D1", "I1", "G1"
    words: str
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class Proposal:
    """What the protocol says of one set of inputs, and why."""

    act: Act
    row_id: str
    row_number: int  # 1-based, of `rows`
    rows: int
    say: str
    phases: tuple[Phase, ...]
    response: Response
    points: int
    percent: int | None
    group: str
    tolerability: Tolerability
    reasons: tuple[Reason, ...]
    would_change: tuple[str, ...]
    sources: tuple[str, ...]
    confirm: str
    min_hours_between: int
    mood: Mood = Mood.NOT_ASKED
    over: tuple[str, ...] = ()  # what blocked it when a clinician had it drafted all the same

    @property
    def visits(self) -> int:
        """How many visits are scheduled before the plan is looked at again."""
        return sum(phase.count for phase in until_review(self.phases))

    def as_data(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class Window:
    """When a visit may be: days are whole, `latest` is the first moment after them."""

    number: int
    phase: int
    earliest: datetime
    ideal: datetime
    latest: datetime
    min_days: int  # after the visit before
    target_days: int
    max_days: int


def assess(inputs: Inputs, protocol: Protocol) -> Proposal:
    """Return what the protocol proposes for what was found, and why. Pure; decides nothing."""
    combination = _combination(inputs, protocol)
    row = protocol.row(combination)
    percent = percent_less(
        inputs.baseline, inputs.score, from_baseline=protocol.percent_from_baseline
    )
    proposal = Proposal(
        act=row.act,
        row_id=row.id,
        row_number=protocol.rows.index(row) + 1,
        rows=len(protocol.rows),
        say=row.say,
        phases=row.phases,
        response=combination.response,
        points=inputs.baseline - inputs.score,
        percent=percent,
        group=combination.condition,
        tolerability=combination.tolerability,
        reasons=(),
        would_change=(),
        sources=row.sources,
        confirm=row.confirm,
        min_hours_between=protocol.min_hours_between,
        mood=combination.mood,
    )
    return replace(
        proposal,
        reasons=_reasons(inputs, protocol, proposal),
        would_change=_would_change(inputs, combination, protocol, proposal),
    )


def restored(data: Mapping[str, Any]) -> Proposal:
    """Return a proposal from what was stored of it."""
    return Proposal(
        **{
            **data,
            "act": Act(data["act"]),
            "phases": tuple(Phase(**p) for p in data["phases"]),
            "response": Response(data["response"]),
            "tolerability": Tolerability(data["tolerability"]),
            "reasons": tuple(Reason(**r) for r in data["reasons"]),
            "would_change": tuple(data["would_change"]),
            "sources": tuple(data["sources"]),
            "mood": Mood(data.get("mood", Mood.NOT_ASKED)),  # plans of before it was asked
            "over": tuple(data.get("over", ())),
        }
    )


def until_review(phases: Sequence[Phase]) -> list[Phase]:
    """Return the phases that are scheduled now: up to the first that ends in a review."""
    found: list[Phase] = []
    for phase in phases:
        found.append(phase)
        if phase.reassess_after_days is not None:
            break
    return found


def windows(
    phases: Sequence[Phase], *, last_infusion_on: date, today: date, zone: ZoneInfo, usual: time
) -> list[Window]:
    """Return the window of every visit that is scheduled now.

    Ideal days follow one another by the target; a window reaches as far from its ideal day as
    the least and the most days between visits differ from the target. The first is ideally the
    target after the last infusion, or as soon as its window lies ahead.

    Args:
        usual: The time of day they came before, on the site's wall clock.
    """
    found: list[Window] = []
    ideal_on = last_infusion_on
    for index, phase in enumerate(until_review(phases)):
        early = phase.target_days - phase.min_days
        late = phase.max_days - phase.target_days
        for _ in range(phase.count):
            ideal_on += timedelta(days=phase.target_days)
            if not found:
                ideal_on = max(ideal_on, today + timedelta(days=early + 1))
            found.append(
                Window(
                    number=len(found) + 1,
                    phase=index,
                    earliest=day_span(ideal_on - timedelta(days=early), zone).start,
                    ideal=instant(ideal_on, usual, zone),
                    latest=day_span(ideal_on + timedelta(days=late), zone).end,
                    min_days=phase.min_days,
                    target_days=phase.target_days,
                    # Nothing bounds how long after the first infusion the course may begin but
                    # the first window itself.
                    max_days=phase.max_days if found else 365,
                )
            )
    return found


def review_on(phases: Sequence[Phase], planned: Sequence[Window], zone: ZoneInfo) -> date | None:
    """Return the day the plan is looked at again, or None when it just ends."""
    now = until_review(phases)
    if not now or not planned or now[-1].reassess_after_days is None:
        return None
    return planned[-1].ideal.astimezone(zone).date() + timedelta(days=now[-1].reassess_after_days)


def chat_window(
    infusion: datetime, zone: ZoneInfo, *, first_day: int, last_day: int
) -> tuple[datetime, datetime]:
    """Return from and until when the follow-up chat is due: whole days after the infusion's."""
    on = infusion.astimezone(zone).date()
    return (
        day_span(on + timedelta(days=first_day), zone).start,
        day_span(on + timedelta(days=last_day), zone).end,
    )


def hours_apart(one: datetime, one_zone: ZoneInfo, other: datetime, other_zone: ZoneInfo) -> float:
    """Return how many hours lie between two moments on the clocks on the walls.

    Two days apart at the same time of day are 48 hours, also when the clock changes between.
    """
    a = one.astimezone(one_zone).replace(tzinfo=None)
    b = other.astimezone(other_zone).replace(tzinfo=None)
    return abs((a - b).total_seconds()) / 3600


def said_of(act: Act, phases: Sequence[Phase]) -> str:
    """Return a plan in a line, from its phases: "6 visits about 3 days apart, then ..."."""
    if act is Act.REFER:
        return "Referred to somebody else."
    parts = [
        f"{p.count} visits about {plural(p.target_days, 'day')} apart"
        if p.count > 1
        else f"1 visit after about {plural(p.target_days, 'day')}"
        for p in phases
        if p.count
    ]
    return f"{', then '.join(parts)}." if parts else "No more visits."


def plural(count: int, noun: str) -> str:
    """Return "1 visit", "6 visits"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _combination(inputs: Inputs, protocol: Protocol) -> Combination:
    return Combination(
        protocol.group_of(inputs.condition),
        protocol.response(inputs.baseline, inputs.score),
        protocol.tolerability(inputs.worst_severity),
        protocol.mood(inputs.phq9),
    )


def _reasons(inputs: Inputs, protocol: Protocol, proposal: Proposal) -> tuple[Reason, ...]:
    groups = sorted(protocol.groups)
    scores = {"baseline": inputs.baseline, "score": inputs.score, "points": proposal.points}
    said = f"{RESPONSE_WORDS[proposal.response]}: "
    if proposal.percent is None:
        said += (
            f"pain before was {inputs.baseline} of 10, too low for percent; "
            f"{plural(abs(proposal.points), 'point')} {'less' if proposal.points >= 0 else 'more'}."
        )
    else:
        scores["percent"] = proposal.percent
        more = proposal.percent < 0
        said += (
            f"{abs(proposal.percent)} % {'more' if more else 'less'} pain, "
            f"{plural(abs(proposal.points), 'point')}."
        )
    tolerated = (
        "Tolerated: no side effect above mild."
        if proposal.tolerability is Tolerability.WELL
        else f"Worst side effect: {SEVERITY_WORDS[inputs.worst_severity]}."
    )
    lasted = plural(inputs.relief_days, "day")
    relief = (
        f"Relief still holds after {lasted}." if inputs.relief_holds else f"Relief lasted {lasted}."
    )
    return (
        Reason(f"R{list(Response).index(proposal.response) + 1}", said, scores),
        Reason(
            f"C{groups.index(proposal.group) + 1}",
            f"Condition: {CONDITIONS[inputs.condition]} (group {proposal.group}).",
            {},
        ),
        Reason(
            f"T{list(Tolerability).index(proposal.tolerability) + 1}",
            tolerated,
            {"severity": inputs.worst_severity},
        ),
        *_mood_reason(inputs, protocol, proposal),
        *_peg_reason(inputs),
        Reason("D1", relief, {"days": inputs.relief_days}),
        Reason("I1", f"They say: {IMPRESSIONS[inputs.impression]}.", {}),
        Reason(proposal.row_id, proposal.say, {"row": proposal.row_number, "of": proposal.rows}),
    )


def _mood_reason(inputs: Inputs, protocol: Protocol, proposal: Proposal) -> Sequence[Reason]:
    rule = f"M{list(Mood).index(proposal.mood) + 1}"
    if inputs.phq9 is not None:
        return [Reason(rule, f"Mood: PHQ-9 {inputs.phq9} of 27.", {"phq9": inputs.phq9})]
    if protocol.marked_from_phq9 is None:
        return []
    return [Reason(rule, "The mood was not asked about.", {})]


def _peg_reason(inputs: Inputs) -> Sequence[Reason]:
    """Say what pain leaves possible, beside the score; it decides on no row."""
    if inputs.peg_since is None:
        return []
    since = sum(inputs.peg_since)
    if inputs.peg_before is None:
        return [Reason("G1", f"PEG since: {peg(inputs.peg_since)}.", {"since": since})]
    before = sum(inputs.peg_before)
    words = f"PEG {peg(inputs.peg_before)} before, {peg(inputs.peg_since)} since"
    if before > 0:
        percent = abs(before - since) * 100 // before
        words += f": {percent} % {'less' if since <= before else 'more'}"
    return [Reason("G1", f"{words}.", {"before": before, "since": since})]


def peg(items: Sequence[int]) -> str:
    """Return a PEG score, the mean of its three items, with one digit: "6.7"."""
    tenths = (sum(items) * 20 + 3) // 6  # rounded half up
    return f"{tenths // 10}.{tenths % 10}"


def _would_change(
    inputs: Inputs, here: Combination, protocol: Protocol, proposal: Proposal
) -> tuple[str, ...]:
    """Say, for each other answer to one question, what would have come of it, when it differs."""
    others = [
        *(
            (f"A {t.value} side effect" if t is not Tolerability.WELL else "Only mild side effects",
             replace(here, tolerability=t))
            for t in Tolerability
            if t is not here.tolerability
        ),
        *(
            (_a_response(r, inputs, protocol), replace(here, response=r))
            for r in Response
            if r is not here.response
        ),
        *(
            (_MOODS[m].format(protocol.marked_from_phq9), replace(here, mood=m))
            for m in protocol.moods()
            if m is not here.mood and m is not Mood.NOT_ASKED
        ),
        *(
            (f"A condition of the group {g}", replace(here, condition=g))
            for g in sorted(protocol.groups)
            if g != here.condition
        ),
    ]  # fmt: skip
    mine = _comes_to(proposal.act, proposal.phases)
    said = []
    for words, combination in others:
        row = protocol.row(combination)
        theirs = _comes_to(row.act, row.phases)
        if theirs != mine:
            said.append(f"{words} would have given {theirs} instead of {mine}.")
    return tuple(said)


_MOODS = {Mood.LITTLE: "A PHQ-9 under {}", Mood.MARKED: "A PHQ-9 of {} or more"}


def _a_response(response: Response, inputs: Inputs, protocol: Protocol) -> str:
    """Return a response in words, with the scores that would be one on this pain before."""
    if response is Response.UNCLEAR:
        return f"Pain before under {protocol.percent_from_baseline}"
    words = "No response" if response is Response.NONE else f"A {response.value} response"
    scores = [s for s in range(11) if protocol.response(inputs.baseline, s) is response]
    if not scores:
        return words
    if len(scores) == 1:
        return f"{words} (pain of {scores[0]} since)"
    return f"{words} (pain of {scores[0]} to {scores[-1]} since)"


def _comes_to(act: Act, phases: Sequence[Phase]) -> str:
    if act is not Act.SERIES:
        return ACT_WORDS[act]
    now = until_review(phases)
    spacing = {p.target_days for p in now}
    about = " and ".join(plural(d, "day") for d in sorted(spacing))
    return f"{plural(sum(p.count for p in now), 'visit')} about {about} apart"
