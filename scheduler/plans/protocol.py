"""Protocols: clinician-owned decision tables, read from TOML and proven before use. Pure."""

import enum
import itertools
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.patients.models import Pain

SHIPPED = Path(__file__).parent / "protocols"
MOST_HOURS = 720  # between two visits: thirty days
MOST_VISITS = 52  # of one row, in all
MOST_DAYS = 2 * 366  # from its first visit to its last, at the widest
MOST_RECOVERY = 480  # minutes: a working day


class Unreadable(ValueError):
    """The file is no protocol; the text says what is wrong, by row where it can."""


class Response(enum.StrEnum):
    """How much less pain."""

    NONE = "none"  # less than 30 percent
    PARTIAL = "partial"  # 30 to 49
    SUBSTANTIAL = "substantial"  # 50 or more
    UNCLEAR = "unclear"  # too little pain before for percent to mean anything


class Tolerability(enum.StrEnum):
    """How it was borne, by the worst side effect."""

    WELL = "well"  # none, or mild
    MODERATE = "moderate"
    SEVERE = "severe"  # nothing is proposed


class Mood(enum.StrEnum):
    """How much their mood is burdened, by the sum of the PHQ-9."""

    LITTLE = "little"
    MARKED = "marked"
    NOT_ASKED = "not-asked"


class Act(enum.StrEnum):
    """What a row says is to be done."""

    SERIES = "series"
    STOP = "stop"
    REFER = "refer"
    REVIEW = "needs-review"


@dataclass(frozen=True)
class Phase:
    """A stretch of visits of one spacing, in days from one visit to the next."""

    name: str
    count: int
    min_days: int
    target_days: int
    max_days: int
    recovery_minutes: int
    reassess_after_days: int | None  # after its last visit; None goes on without a look


@dataclass(frozen=True)
class Row:
    """One line of the decision table: which combinations it answers, and how."""

    id: str
    conditions: frozenset[str]
    responses: frozenset[Response]
    tolerabilities: frozenset[Tolerability]
    moods: frozenset[Mood]
    act: Act
    say: str
    sources: tuple[str, ...]
    confirm: str  # what is still to be settled before anybody relies on it
    phases: tuple[Phase, ...]

    def meets(self, combination: "Combination") -> bool:
        """Say whether this row answers a combination."""
        return (
            combination.condition in self.conditions
            and combination.response in self.responses
            and combination.tolerability in self.tolerabilities
            and combination.mood in self.moods
        )


@dataclass(frozen=True, order=True)
class Combination:
    """One set of inputs of the table."""

    condition: str
    response: Response
    tolerability: Tolerability
    mood: Mood = Mood.NOT_ASKED

    def words(self) -> str:
        """Return it as a person says it, but for the mood."""
        return (
            f"{self.condition}, {_RESPONSES[self.response]} response, "
            f"tolerated {_TOLERATED[self.tolerability]}"
        )


_RESPONSES = {
    Response.NONE: "no",
    Response.PARTIAL: "partial",
    Response.SUBSTANTIAL: "substantial",
    Response.UNCLEAR: "unclear",
}
_TOLERATED = {
    Tolerability.WELL: "well",
    Tolerability.MODERATE: "with a moderate side effect",
    Tolerability.SEVERE: "with a severe side effect",
}
MOOD_WORDS = {
    Mood.LITTLE: "mood little burdened",
    Mood.MARKED: "mood markedly burdened",
    Mood.NOT_ASKED: "mood not asked",
}


@dataclass(frozen=True)
class Protocol:
    """A whole decision table."""

    code: str
    title: str
    confirm: str
    min_hours_between: int
    partial_from_percent: int
    substantial_from_percent: int
    percent_from_baseline: int
    moderate_from_severity: int
    severe_from_severity: int
    marked_from_phq9: int | None  # None: the table does not look at the mood
    sources: Mapping[str, str]
    groups: Mapping[str, frozenset[Pain]]
    rows: tuple[Row, ...]

    def group_of(self, condition: Pain) -> str:
        """Return the group a condition is treated in."""
        return next(name for name, members in self.groups.items() if condition in members)

    def response(self, baseline: int, score: int) -> Response:
        """Return the class of a response from two scores of 0 to 10."""
        percent = percent_less(baseline, score, from_baseline=self.percent_from_baseline)
        if percent is None:
            return Response.UNCLEAR
        if percent >= self.substantial_from_percent:
            return Response.SUBSTANTIAL
        return Response.PARTIAL if percent >= self.partial_from_percent else Response.NONE

    def tolerability(self, worst_severity: int) -> Tolerability:
        """Return how it was borne from the worst severity, 0 to 3."""
        if worst_severity >= self.severe_from_severity:
            return Tolerability.SEVERE
        if worst_severity >= self.moderate_from_severity:
            return Tolerability.MODERATE
        return Tolerability.WELL

    def mood(self, phq9: int | None) -> Mood:
        """Return how much the mood is burdened from the sum of a PHQ-9, 0 to 27, if asked."""
        if phq9 is None or self.marked_from_phq9 is None:
            return Mood.NOT_ASKED
        return Mood.MARKED if phq9 >= self.marked_from_phq9 else Mood.LITTLE

    def moods(self) -> list[Mood]:
        """Return what this table tells apart of the mood."""
        return [Mood.NOT_ASKED] if self.marked_from_phq9 is None else list(Mood)

    def combinations(self) -> list[Combination]:
        """Return every set of inputs the table must answer."""
        return [
            Combination(*c)
            for c in itertools.product(sorted(self.groups), Response, Tolerability, self.moods())
        ]

    def row(self, combination: Combination) -> Row:
        """Return the one row that answers; the protocol was checked before."""
        return next(r for r in self.rows if r.meets(combination))


def percent_less(baseline: int, score: int, *, from_baseline: int = 3) -> int | None:
    """Return by how many percent pain fell, rounded down; None where percent says nothing.

    More pain than before is a negative percentage.
    """
    if baseline < max(from_baseline, 1):
        return None
    return (baseline - score) * 100 // baseline


def read(text: str) -> Protocol:
    """Return the protocol a TOML text describes.

    Raises:
        Unreadable: it is no TOML, or something in it is missing or makes no sense.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as reason:
        raise Unreadable(f"This is no TOML: {reason}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets
        raise Unreadable("This is no TOML that a protocol would need.") from None
    try:
        return _protocol(raw)
    except KeyError as missing:
        raise Unreadable(f"{missing} is missing.") from None
    except (TypeError, AttributeError):
        raise Unreadable("A part of it has another shape than it should.") from None


def problems(protocol: Protocol) -> list[str]:
    """Return why a protocol is not fit to be used, in words; empty when it is.

    Proves that every combination of inputs meets exactly one row.
    """
    found = [*_group_problems(protocol), *_row_problems(protocol)]
    wrong: dict[tuple[str, tuple[str, ...]], list[Mood]] = {}
    for combination in protocol.combinations():
        rows = tuple(row.id for row in protocol.rows if row.meets(combination))
        if len(rows) != 1:
            wrong.setdefault((combination.words(), rows), []).append(combination.mood)
    for (words, rows), moods in wrong.items():
        if len(moods) < len(protocol.moods()):  # else whatever the mood
            words += ", " + " or ".join(MOOD_WORDS[mood] for mood in moods)
        if rows:
            found.append(f"More than one row ({', '.join(rows)}) for: {words}.")
        else:
            found.append(f"No row for: {words}.")
    return found


def phase_words(phase: Phase) -> str:
    """Return a phase in a line: "Series: 6 visits, 3 days apart (2 to 5), ..."."""
    visits = "1 visit" if phase.count == 1 else f"{phase.count} visits"
    words = (
        f"{phase.name}: {visits}, {phase.target_days} days apart ({phase.min_days} to "
        f"{phase.max_days}), {phase.recovery_minutes} minutes of recovery"
    )
    if phase.reassess_after_days is not None:
        words += f", review after {phase.reassess_after_days} days"
    return words


def answers_words(row: Row, protocol: Protocol) -> str:
    """Return which combinations a row answers, in words: what it leaves open is left out."""
    parts = [
        _some("condition", row.conditions, sorted(protocol.groups)),
        _some("response", {r.value for r in row.responses}, [r.value for r in Response]),
        _some(
            "side effects",
            {_TOLERATED_SHORT[t] for t in row.tolerabilities},
            list(_TOLERATED_SHORT.values()),
        ),
        _some("mood", {m.value for m in row.moods}, [m.value for m in Mood]),
    ]
    return "; ".join(part for part in parts if part) or "every combination"


_TOLERATED_SHORT = {
    Tolerability.WELL: "mild at most",
    Tolerability.MODERATE: "moderate",
    Tolerability.SEVERE: "severe",
}


def _some(name: str, words: Collection[str], of: Sequence[str]) -> str:
    if set(words) >= set(of):
        return ""
    return f"{name} {' or '.join(w.replace('-', ' ') for w in of if w in words)}"


def changes(old: Protocol, new: Protocol) -> list[str]:
    """Return, in words, what a newer table says otherwise than an older one; empty: nothing."""
    found = [
        f"{words}: {getattr(old, name)} → {getattr(new, name)}."
        for name, words in _FIGURES.items()
        if getattr(old, name) != getattr(new, name)
    ]
    if old.groups != new.groups:
        found.append("The conditions are grouped otherwise.")
    before = {row.id: row for row in old.rows}
    after = {row.id: row for row in new.rows}
    for name in [*before, *(n for n in after if n not in before)]:
        if name not in after:
            found.append(f"Row {name} is gone: {before[name].say}")
        elif name not in before:
            found.append(f"Row {name} is new: {after[name].say}")
        else:
            found += [
                f"Row {name}, {part}: {was} → {now}"
                for part, was, now in _parts(before[name], old, after[name], new)
                if was != now
            ]
    return found


_FIGURES = {
    "min_hours_between": "Hours between two visits, at least",
    "partial_from_percent": "Percent of a partial response",
    "substantial_from_percent": "Percent of a substantial response",
    "percent_from_baseline": "Pain before, from which percent counts",
    "moderate_from_severity": "Severity of moderate",
    "severe_from_severity": "Severity of severe",
    "marked_from_phq9": "PHQ-9 of a markedly burdened mood",
}


def _parts(old: Row, in_old: Protocol, new: Row, in_new: Protocol) -> list[tuple[str, str, str]]:
    return [
        ("answers", answers_words(old, in_old), answers_words(new, in_new)),
        ("outcome", old.act.value, new.act.value),
        ("says", old.say, new.say),
        *(
            (
                f"part {n}",
                phase_words(was) if was else "none",
                phase_words(now) if now else "none",
            )
            for n, (was, now) in enumerate(itertools.zip_longest(old.phases, new.phases), start=1)
        ),
        ("sources", " ".join(old.sources), " ".join(new.sources)),
    ]


def _protocol(raw: Mapping[str, Any]) -> Protocol:
    groups = {
        str(name): frozenset(_known(Pain, member, "conditions") for member in members)
        for name, members in raw["conditions"].items()
    }
    response, tolerability, mood = raw["response"], raw["tolerability"], raw.get("mood")
    confirm = _text(raw, "confirm")
    return Protocol(
        code=_text(raw, "code"),
        title=_text(raw, "title"),
        confirm=confirm,
        min_hours_between=_number(raw, "min_hours_between"),
        partial_from_percent=_number(response, "partial_from_percent"),
        substantial_from_percent=_number(response, "substantial_from_percent"),
        percent_from_baseline=_number(response, "percent_from_baseline"),
        moderate_from_severity=_number(tolerability, "moderate_from_severity"),
        severe_from_severity=_number(tolerability, "severe_from_severity"),
        marked_from_phq9=_number(mood, "marked_from_phq9") if mood is not None else None,
        sources={
            "response": _text(response, "source"),
            "tolerability": _text(tolerability, "source"),
            **({"mood": _text(mood, "source")} if mood is not None else {}),
        },
        groups=groups,
        rows=tuple(
            _row(row, set(groups), confirm, asks_mood=mood is not None) for row in raw["row"]
        ),
    )


def _row(raw: Mapping[str, Any], groups: set[str], confirm: str, *, asks_mood: bool) -> Row:
    name = _text(raw, "id")
    if "mood" in raw and not asks_mood:
        raise Unreadable(f"Row {name}: it asks for the mood, but the table has no part [mood].")
    conditions = frozenset(raw.get("condition", groups))
    for condition in conditions - groups:
        raise Unreadable(f"Row {name}: there is no group of conditions called {condition!r}.")
    return Row(
        id=name,
        conditions=conditions,
        responses=frozenset(
            _known(Response, r, f"row {name}") for r in raw.get("response", list(Response))
        ),
        tolerabilities=frozenset(
            _known(Tolerability, t, f"row {name}")
            for t in raw.get("tolerability", list(Tolerability))
        ),
        moods=frozenset(_known(Mood, m, f"row {name}") for m in raw.get("mood", list(Mood))),
        act=_known(Act, raw["outcome"], f"row {name}"),
        say=_text(raw, "say"),
        sources=tuple(str(s) for s in raw["sources"]),
        confirm=_text(raw, "confirm") if "confirm" in raw else confirm,
        phases=tuple(_phase(p) for p in raw.get("phases", ())),
    )


def _phase(raw: Mapping[str, Any]) -> Phase:
    return Phase(
        name=_text(raw, "name"),
        count=_number(raw, "count"),
        min_days=_number(raw, "min_days"),
        target_days=_number(raw, "target_days"),
        max_days=_number(raw, "max_days"),
        recovery_minutes=_number(raw, "recovery_minutes"),
        reassess_after_days=(
            _number(raw, "reassess_after_days") if "reassess_after_days" in raw else None
        ),
    )


def _group_problems(protocol: Protocol) -> list[str]:
    found = []
    for condition in Pain:
        homes = [name for name, members in protocol.groups.items() if condition in members]
        if not homes:
            found.append(f"No group holds the condition {condition.value}.")
        elif len(homes) > 1:
            found.append(f"The condition {condition.value} is in {' and '.join(homes)}.")
    return found


def _row_problems(protocol: Protocol) -> list[str]:
    found = []
    if not 1 <= protocol.min_hours_between <= MOST_HOURS:
        found.append(f"The hours between two visits are not between 1 and {MOST_HOURS}.")
    if not 0 < protocol.partial_from_percent < protocol.substantial_from_percent <= 100:
        found.append("The percentages of a partial and a substantial response are not in order.")
    if not 0 < protocol.moderate_from_severity < protocol.severe_from_severity <= 3:
        found.append("The severities of moderate and severe are not in order.")
    if protocol.marked_from_phq9 is not None and not 1 <= protocol.marked_from_phq9 <= 27:
        found.append("The PHQ-9 of a markedly burdened mood is not between 1 and 27.")
    names = [row.id for row in protocol.rows]
    found.extend(
        f"Two rows are called {n}." for n in sorted({n for n in names if names.count(n) > 1})
    )
    for row in protocol.rows:
        if (row.act is Act.SERIES) != bool(row.phases):
            found.append(f"Row {row.id}: a series has phases, and nothing else has.")
        if not row.sources:
            found.append(f"Row {row.id}: no source is given.")
        for phase in row.phases:
            found.extend(
                f"Row {row.id}, {phase.name}: {p}" for p in _phase_problems(protocol, phase)
            )
        found.extend(f"Row {row.id}: {p}" for p in _length_problems(row))
    return found


def _length_problems(row: Row) -> list[str]:
    found = []
    if sum(phase.count for phase in row.phases) > MOST_VISITS:
        found.append(f"it has more than {MOST_VISITS} visits in all.")
    if sum(phase.count * phase.max_days for phase in row.phases) > MOST_DAYS:
        found.append("it lasts more than two years in all.")
    return found


def _phase_problems(protocol: Protocol, phase: Phase) -> list[str]:
    found = []
    if not 1 <= phase.count <= MOST_VISITS:
        found.append(f"the count is not between 1 and {MOST_VISITS}.")
    if not 1 <= phase.min_days <= phase.target_days <= phase.max_days <= 365:
        found.append("the days between are not in order: min, target, max.")
    if phase.min_days * 24 < protocol.min_hours_between:
        found.append(
            f"{phase.min_days} days are closer than the {protocol.min_hours_between} hours "
            "this protocol allows."
        )
    if not 0 <= phase.recovery_minutes <= MOST_RECOVERY:
        found.append(f"the minutes of recovery are not between 0 and {MOST_RECOVERY}.")
    if phase.reassess_after_days is not None and not 0 <= phase.reassess_after_days <= 365:
        found.append("the review is not within 0 to 365 days.")
    return found


def _known(kind: type[Any], value: object, where: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise Unreadable(f"{where}: {value!r} is none of {known}.") from None


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"{name!r} should be words.")
    return value.strip()


def _number(raw: Mapping[str, Any], name: str) -> int:
    value = raw[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{name!r} should be a whole number.")
    return value


def shipped() -> Sequence[Path]:
    """Return the files of the protocols that come with the house."""
    return sorted(SHIPPED.glob("*.toml"))
