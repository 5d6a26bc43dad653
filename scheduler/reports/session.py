"""The record of the chair as staff read it: each line in words, with what it said before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.accounts import queries as accounts
from scheduler.booking.models import Appointment
from scheduler.reports.history import who
from scheduler.treatment import queries as treatment
from scheduler.treatment import vocabulary
from scheduler.treatment.models import EventKind, SessionEvent

_MOMENTS = {"baseline": "before", "during": "during", "after": "after"}
_PEOPLE = ("staff", "overridden_by")  # where a line names somebody
_READINGS = {
    "systolic": "upper pressure",
    "diastolic": "lower pressure",
    "pulse": "pulse",
    "breaths": "breaths a minute",
    "oxygen": "oxygen %",
}


@dataclass(frozen=True)
class Version:
    """What a line said at one time, who wrote that, and why it was put right."""

    words: str
    note: str | None
    at: datetime
    who: str
    recorded_at: datetime
    reason: str | None
    is_struck: bool
    signed_by: str | None
    on_the_word_of: str | None  # the clinician who decided, when somebody else signed it


@dataclass(frozen=True)
class Entry:
    """One line of the record: how it stands, and what it said before."""

    id: int
    kind: EventKind
    data: Mapping[str, Any]
    now: Version
    before: Sequence[Version]  # the first first


def record(appointment: Appointment) -> list[Entry]:
    """Return everything written into a record, the latest happening first."""
    written = treatment.events(appointment.id)
    names = accounts.actor_names(
        {e.recorded_by for e in written}
        | {f"staff:{e.signed_by_id}" for e in written if e.signed_by_id}
        | {f"staff:{e.data[name]}" for e in written for name in _PEOPLE if name in e.data}
    )
    threads: dict[int, list[SessionEvent]] = {}
    for event in written:
        threads.setdefault(event.amends_id or event.id, []).append(event)
    found = []
    for root, thread in threads.items():
        versions = [_version(event, names) for event in thread]
        last = thread[-1]
        found.append(Entry(root, last.kind, last.data, versions[-1], versions[:-1]))
    return sorted(found, key=lambda e: (e.now.at, e.id), reverse=True)


def words(kind: EventKind, data: Mapping[str, Any]) -> str:
    """Return one line of the record as a sentence without its end."""
    say = _SAY.get(kind)
    return say(data) if say else "Note"


def _readiness(data: Mapping[str, Any]) -> str:
    said = "" if data["is_met"] else "NOT: "
    return f"{said}{vocabulary.READINESS.get(data['item'], data['item'])}"


def _discharge(data: Mapping[str, Any]) -> str:
    item = data["item"]
    words = vocabulary.DISCHARGE.get(item, item)
    if "points" not in data:  # of before there were points
        return f"{words}: {'met' if data['is_met'] else 'not yet'}"
    points = data["points"]
    means = vocabulary.DISCHARGE_POINTS.get(item, ("", "", ""))[points]
    return f"{words}, {points} of {vocabulary.MOST_POINTS}: {means.lower()}"


def _dose(data: Mapping[str, Any]) -> str:
    change = data.get("change", "set")
    if change == vocabulary.RESCUE:
        against = vocabulary.SIDE_EFFECTS.get(data["for"], data["for"]).lower()
        return f"Medicine given: {data['medicine']}, {data['amount']}, against {against}"
    return (
        f"Dose: {vocabulary.DOSE_CHANGES[change].lower()} {data['amount']} {data['unit']}".rstrip()
    )


def _comfort(data: Mapping[str, Any]) -> str:
    wished = [vocabulary.COMFORT[k] for k, v in data.items() if v and k in vocabulary.COMFORT]
    return "Comfort: " + (", ".join(wished).lower() or "nothing wished")


def _side_effect(data: Mapping[str, Any]) -> str:
    severity = vocabulary.SEVERITIES.get(data["severity"], "")
    effect = vocabulary.SIDE_EFFECTS.get(data["effect"], data["effect"])
    return f"{effect}, {severity}. {vocabulary.ACTIONS.get(data['action'], data['action'])}"


def _safe(data: Mapping[str, Any]) -> str:
    escort = "escort here" if data.get("escort") else "without an escort"
    return f"Safe to go home, {escort}" + _although(data.get("unmet"))


def vitals(data: Mapping[str, Any]) -> str:
    """Return vital signs in a line: "128/82, pulse 71, oxygen 98 %"."""
    parts = []
    if "systolic" in data and "diastolic" in data:
        parts.append(f"{data['systolic']}/{data['diastolic']}")
    for name, label in _READINGS.items():
        if name in data and not (
            name in ("systolic", "diastolic") and "systolic" in data and "diastolic" in data
        ):
            value = data[name]
            parts.append(f"oxygen {value} %" if name == "oxygen" else f"{label} {value}")
    if "awake" in data:
        parts.append(vocabulary.AWAKE.get(data["awake"], data["awake"]).lower())
    return "Vital signs: " + ", ".join(parts)


def _although(missing: Sequence[str] | None) -> str:
    return f", although: {'; '.join(missing)}" if missing else ""


_SAY: Mapping[EventKind, Callable[[Mapping[str, Any]], str]] = {
    EventKind.READINESS: _readiness,
    EventKind.DISCHARGE: _discharge,
    EventKind.COMFORT: _comfort,
    EventKind.SCORE: lambda d: f"Pain {d['score']} of 10, {_MOMENTS.get(d['when'], d['when'])}",
    EventKind.VITALS: vitals,
    EventKind.START: lambda d: "Started" + _although(d.get("overridden")),
    EventKind.DOSE: _dose,
    EventKind.SIDE_EFFECT: _side_effect,
    EventKind.END: lambda d: (
        f"Drip ended: {vocabulary.ENDINGS.get(d['reason'], d['reason']).lower()}"
    ),
    EventKind.SAFE: _safe,
    EventKind.HANDOUT: lambda d: (
        f"Words to take home: {vocabulary.HANDOUTS.get(d['how'], d['how']).lower()}"
    ),
    EventKind.GONE: lambda _: "Left",
}


def _version(event: SessionEvent, names: Mapping[str, str]) -> Version:
    named = names.get(f"staff:{event.data['staff']}") if "staff" in event.data else None
    decided = event.data.get("overridden_by", event.signed_by_id)
    return Version(
        words=words(event.kind, event.data) + (f": {named}" if named else ""),
        note=event.note,
        at=event.at,
        who=names.get(event.recorded_by) or who(event.recorded_by),
        recorded_at=event.recorded_at,
        reason=event.reason,
        is_struck=event.is_struck,
        signed_by=names.get(f"staff:{event.signed_by_id}") if event.signed_by_id else None,
        on_the_word_of=names.get(f"staff:{decided}") if decided != event.signed_by_id else None,
    )
