"""The day as the desk sees it: who is where, when, and what needs somebody. Reads only.

Places on the board are counted in rows of five minutes of the wall clock from a whole hour on.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from scheduler.booking import offers
from scheduler.booking import queries as book
from scheduler.booking.models import Appointment, Hold, HoldKind, Status
from scheduler.booking.offers import Audience
from scheduler.booking.queries import Placed
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import Away, SiteSupply, Supply, Unit
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan, day_span, instant
from scheduler.reports import reach
from scheduler.treatment import queries as treatment
from scheduler.treatment.models import CallOutcome, Outcome, SessionEvent
from scheduler.treatment.queries import Wait
from scheduler.treatment.rules import ChairState, Stage

MINUTES_A_ROW = 5
ROWS_AN_HOUR = 60 // MINUTES_A_ROW
LATE_AFTER = timedelta(minutes=5)
MOST_BESIDE = 4  # cards beside one another in one column
CALLS = (ServiceCode.CALL, ServiceCode.CHAT)
INFUSIONS = (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION)

UNCONFIRMED = "Not confirmed"
#: What stands after the minutes of whoever's vital signs should have been taken by now.
LOOK_DUE = " · vitals due"

OUTCOME_WORDS = {
    Outcome.CANDIDATE: "Candidate",
    Outcome.NOT_CANDIDATE: "Not a candidate",
    Outcome.NEEDS_RECORDS: "Needs records",
    Outcome.UNDECIDED: "Undecided",
}


class Tone(enum.StrEnum):
    """How much something wants to be seen."""

    PLAIN = "plain"
    FINE = "fine"
    HERE = "here"
    ATTENTION = "attention"
    TROUBLE = "trouble"
    DONE = "done"


@dataclass(frozen=True)
class Standing:
    """How an appointment stands right now: a sign, words, and a tone. Never colour alone."""

    sign: str
    words: str
    tone: Tone
    stage: Stage | None = None  # in the chair
    done: int = 0  # minutes of `of`, for a bar; never more
    of: int = 0


@dataclass(frozen=True)
class Card:
    """An appointment in one column."""

    appointment: Appointment
    service: str
    standing: Standing
    row: int
    length: int
    is_twin: bool  # the same appointment stands in a chair's column already
    beside: int = 1  # which of `of` cards side by side
    of: int = 1

    @property
    def size(self) -> str:
        """How much fits: one line, a few, or all."""
        return "line" if self.length <= 5 else "short" if self.length < 10 else "full"


@dataclass(frozen=True)
class Kept:
    """Time a visitor is being offered, or thinks over, right now."""

    row: int
    length: int
    words: str


@dataclass(frozen=True)
class Shut:
    """Time that cannot be given, and why."""

    row: int
    length: int
    reason: str


@dataclass
class Column:
    """A chair or a person of a site."""

    site: SiteSupply
    unit: Unit
    is_chair: bool
    under: str
    cards: list[Card] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    shut: list[Shut] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What the page calls it: "woburn-chair-3"."""
        return f"{self.site.code}-{'chair' if self.is_chair else 'person'}-{self.unit.id}"

    @property
    def most_beside(self) -> int:
        """How many cards stand side by side where it is fullest."""
        return max((c.of for c in self.cards), default=1)

    @property
    def is_wide(self) -> bool:
        """Say whether cards stand here that need more width: short ones, or several abreast."""
        return not self.is_chair and (
            self.most_beside > 1 or any(c.size == "line" for c in self.cards)
        )


@dataclass(frozen=True)
class Count:
    """One part of the strip: "2 not confirmed"."""

    sign: str
    words: str
    tone: Tone


@dataclass(frozen=True)
class Line:
    """An appointment in the list of the day."""

    appointment: Appointment
    service: str
    standing: Standing
    chair: str
    person: str


@dataclass(frozen=True)
class Board:
    """Everything a page about one day needs."""

    day: date
    sites: Sequence[SiteSupply]
    first_hour: int
    hours: int
    columns: Sequence[Column]
    now_row: int | None
    counts: Sequence[Count]
    next_free: Sequence[str]
    lines: Sequence[Line]  # all of the day, in order of time
    off: Sequence[Line]  # not coming: cancelled or missed
    waits: Sequence[Wait]  # who will have to wait for a visit that runs late

    @property
    def rows(self) -> int:
        """How many rows of five minutes."""
        return self.hours * ROWS_AN_HOUR


def signature(site_ids: Sequence[int], day: date, *, now: datetime) -> str:
    """Return a text that differs whenever the board of that day would: cheap, for polling."""
    supply = clinic_supply.current()
    parts: list[object] = [supply.version, now.replace(second=0, microsecond=0).isoformat()]
    for site_id in site_ids:
        span = day_span(day, supply.sites[site_id].zone)
        parts += db.session.execute(
            select(
                Appointment.id,
                Appointment.version,
                Appointment.status,
                Appointment.confirmed_at,
                Appointment.patient_id,
            )
            .where(
                Appointment.site_id == site_id,
                Appointment.starts_at >= span.start,
                Appointment.starts_at < span.end,
            )
            .order_by(Appointment.id)
        ).all()
        parts += db.session.execute(
            select(Hold.id, Hold.starts_at)
            .where(
                Hold.site_id == site_id,
                Hold.starts_at >= span.start,
                Hold.starts_at < span.end,
                Hold.expires_at > now,
            )
            .order_by(Hold.id)
        ).all()
    parts.append(db.session.scalar(select(func.max(CallOutcome.id))))
    parts.append(db.session.scalar(select(func.max(SessionEvent.id))))
    return repr(parts)


def of_day(site_ids: Sequence[int], day: date, *, now: datetime) -> Board:
    """Return the board of one calendar day at these sites."""
    supply = clinic_supply.current()
    sites = [supply.sites[site_id] for site_id in site_ids]
    placed = [
        p
        for site in sites
        for p in book.between(
            [site.id], day_span(day, site.zone).start, day_span(day, site.zone).end
        )
    ]
    outcomes = _outcomes([p.appointment.id for p in placed])
    in_chair = chair_states([p.appointment for p in placed], now=now)
    in_doubt = reach.in_doubt([p.appointment for p in placed], now=now)
    standings = {
        p.appointment.id: standing(
            p.appointment,
            outcome=outcomes.get(p.appointment.id),
            in_chair=in_chair.get(p.appointment.id),
            in_doubt=p.appointment.id in in_doubt,
            now=now,
        )
        for p in placed
    }
    first, hours = _hours(sites, day, placed)
    columns = [c for site in sites for c in _columns(site, day, placed)]
    frame = _Frame(day, first, hours)
    for column in columns:
        column.shut = list(_shut(column, frame))
        column.cards = _cards(column, placed, supply, standings, frame)
    _add_kept(columns, sites, frame, now=now)
    for column in columns:
        column.under = _under(column, frame, now=now)
    lines = [_line(p, supply, standings) for p in placed]
    return Board(
        day=day,
        sites=sites,
        first_hour=first,
        hours=hours,
        columns=columns,
        now_row=frame.row_now(now, sites[0].zone),
        counts=_counts(placed, standings),
        next_free=_next_free(sites, day, now=now),
        lines=[line for line in lines if line.appointment.is_live],
        off=[line for line in lines if not line.appointment.is_live],
        waits=treatment.waits([p.appointment for p in placed], over=LATE_AFTER, now=now),
    )


def waits_about(appointment: Appointment, *, now: datetime) -> list[Wait]:
    """Return who waits for this appointment, and what this one waits for, on its day."""
    zone = appointment.site.zone
    day = appointment.starts_at.astimezone(zone).date()
    if not appointment.is_live or day != now.astimezone(zone).date():
        return []
    span = day_span(day, zone)
    there = book.between([appointment.site_id], span.start, span.end, live_only=True)
    found = treatment.waits([p.appointment for p in there], over=LATE_AFTER, now=now)
    return [w for w in found if appointment.id in (w.hit.appointment.id, w.hit.late.id)]


def late_release(appointment: Appointment, *, now: datetime) -> datetime | None:
    """Return until when somebody who is here is expected to stay, when that is late."""
    if appointment.status is not Status.ARRIVED:
        return None
    release = treatment.expected_release(appointment, now=now)
    is_late = release is not None and release.person_at > appointment.ends_at + LATE_AFTER
    return release.person_at if release is not None and is_late else None


def chair_states(appointments: Sequence[Appointment], *, now: datetime) -> Mapping[int, ChairState]:
    """Return, by appointment id, where in the chair those are who have an infusion."""
    infusions = [a for a in appointments if a.is_live and a.service_code in INFUSIONS]
    return treatment.chair_states(infusions, now=now) if infusions else {}


def standing(
    appointment: Appointment,
    *,
    now: datetime,
    outcome: Outcome | None = None,
    in_chair: ChairState | None = None,
    in_doubt: bool = False,
) -> Standing:
    """Return how an appointment stands, in words for staff.

    Args:
        in_chair: Where an infusion's patient is by the record; None looks at the book only.
        in_doubt: Word of it may not have arrived: somebody should call.
    """
    zone = appointment.site.zone
    is_call = appointment.service_code in CALLS
    if in_chair is not None and appointment.is_live:
        found = _in_chair(in_chair)
        if found is not None:
            return found
    match appointment.status:
        case Status.CANCELLED:
            return Standing("✕", "Cancelled", Tone.DONE)
        case Status.NOSHOW:
            return Standing("✕", "Not reached" if is_call else "Did not come", Tone.TROUBLE)
        case Status.FULFILLED:
            words = OUTCOME_WORDS[outcome] if outcome else "Done"
            return Standing("✓", words, Tone.DONE)
        case Status.ARRIVED:
            since = appointment.arrived_at or now
            minutes = max(int((now - since).total_seconds() // 60), 0)
            here = "On the call" if is_call else "Here"
            return Standing("●", f"{here} {minutes} min", Tone.HERE)
        case _:
            found = _expected(appointment, is_call=is_call, zone=zone, now=now)
            if in_doubt and found.words == UNCONFIRMED:
                return Standing("▲", f"{UNCONFIRMED}: call", Tone.ATTENTION)
            return found


def _in_chair(state: ChairState) -> Standing | None:
    match state.stage:
        case Stage.READY:
            return Standing("✓", "Ready", Tone.FINE, Stage.READY)
        case Stage.INFUSING | Stage.RECOVERING:
            of = state.of or 1
            word = "Infusing" if state.stage is Stage.INFUSING else "Recovering"
            is_calm = state.minutes <= of and not state.is_look_due
            return Standing(
                "●" if is_calm else "▲",
                f"{word} {state.minutes} of {of}" + (LOOK_DUE if state.is_look_due else ""),
                Tone.HERE if is_calm else Tone.ATTENTION,
                state.stage,
                min(state.minutes, of),
                of,
            )
        case Stage.SAFE:
            return Standing("✓", "Safe to go", Tone.FINE, Stage.SAFE)
        case Stage.GONE:
            return Standing("✓", "Gone", Tone.DONE, Stage.GONE)
        case _:
            return None


def _expected(
    appointment: Appointment, *, is_call: bool, zone: ZoneInfo, now: datetime
) -> Standing:
    behind = now - appointment.starts_at
    minutes = int(behind.total_seconds() // 60)
    if behind >= LATE_AFTER:
        late = f"{minutes} min late" if minutes < 120 else f"{minutes // 60} h late"
        if now.astimezone(zone).date() != appointment.starts_at.astimezone(zone).date():
            late = "Still open"
        return Standing("▲", late, Tone.TROUBLE)
    if is_call and behind >= timedelta(0):
        return Standing("▲", "Call now", Tone.ATTENTION)
    if appointment.confirmed_at:
        return Standing("✓", "Confirmed", Tone.FINE)
    return Standing("◷", UNCONFIRMED, Tone.ATTENTION)


@dataclass(frozen=True)
class _Frame:
    """The rows of one day."""

    day: date
    first_hour: int
    hours: int

    @property
    def rows(self) -> int:
        return self.hours * ROWS_AN_HOUR

    def row(self, moment: datetime, zone: ZoneInfo) -> int:
        wall = moment.astimezone(zone)
        days = (wall.date() - self.day).days
        minutes = (days * 24 + wall.hour - self.first_hour) * 60 + wall.minute
        return minutes // MINUTES_A_ROW

    def clipped(self, span: TimeSpan, zone: ZoneInfo) -> tuple[int, int] | None:
        first = max(self.row(span.start, zone), 0)
        last = min(self.row(span.end - timedelta(seconds=1), zone) + 1, self.rows)
        return (first, last - first) if last > first else None

    def row_now(self, now: datetime, zone: ZoneInfo) -> int | None:
        row = self.row(now, zone)
        return row if 0 <= row < self.rows else None

    def whole(self, zone: ZoneInfo) -> TimeSpan:
        start = instant(self.day, time(self.first_hour), zone)
        return TimeSpan(start, start + timedelta(hours=self.hours))


def _hours(sites: Sequence[SiteSupply], day: date, placed: Sequence[Placed]) -> tuple[int, int]:
    """Return the first whole hour of the board and how many it has: all opening and all booked."""
    walls: list[tuple[datetime, datetime]] = []
    for site in sites:
        walls += [
            (s.start.astimezone(site.zone), s.end.astimezone(site.zone))
            for s in site.open_spans(day, 1)
        ]
    walls += [
        (
            p.appointment.starts_at.astimezone(p.appointment.site.zone),
            p.appointment.ends_at.astimezone(p.appointment.site.zone),
        )
        for p in placed
    ]
    if not walls:
        return 8, 9
    first = min(start.hour for start, _ in walls)
    last = max(24 if end.date() > day else end.hour + (1 if end.minute else 0) for _, end in walls)
    return first, max(last - first, 1)


def _columns(site: SiteSupply, day: date, placed: Sequence[Placed]) -> list[Column]:
    busy = {p.person_id for p in placed if p.appointment.site_id == site.id}
    chairs = [Column(site, chair, True, "") for chair in site.chairs]
    people = [
        Column(site, person, False, "")
        for person in site.people
        if person.id in busy or site.shift_spans(person, day, 1)
    ]
    # Who or what is out of use by now still shows what the book says of it.
    seated = {p.chair_id for p in placed if p.appointment.site_id == site.id}
    former = [
        Column(site, unit, unit.id in seated, "")
        for unit in site.former
        if unit.id in seated | busy
    ]
    return [*chairs, *people, *former]


def _shut(column: Column, frame: _Frame) -> Iterable[Shut]:
    site, zone = column.site, column.site.zone
    is_chair = column.is_chair
    there = (
        site.open_spans(frame.day, 1) if is_chair else site.shift_spans(column.unit, frame.day, 1)
    )
    for gap in _gaps(there, frame.whole(zone)):
        place = frame.clipped(gap, zone)
        if place:
            yield Shut(*place, _gap_reason(gap, there, zone) if is_chair else "")
    away: tuple[Away, ...] = (*site.closures, *column.unit.away)
    for closure in away:
        place = frame.clipped(closure.span, zone)
        if place:
            yield Shut(*place, closure.reason)


def _gaps(spans: Sequence[TimeSpan], whole: TimeSpan) -> Iterable[TimeSpan]:
    at = whole.start
    for span in spans:
        if span.start > at:
            yield TimeSpan(at, min(span.start, whole.end))
        at = max(at, span.end)
        if at >= whole.end:
            return
    if at < whole.end:
        yield TimeSpan(at, whole.end)


def _gap_reason(gap: TimeSpan, open_spans: Sequence[TimeSpan], zone: ZoneInfo) -> str:
    later = next((s for s in open_spans if s.start >= gap.end), None)
    return f"Opens {_brief(later.start, zone)}" if later else "Closed"


def _cards(
    column: Column,
    placed: Sequence[Placed],
    supply: Supply,
    standings: dict[int, Standing],
    frame: _Frame,
) -> list[Card]:
    cards = []
    for p in placed:
        mine = p.chair_id if column.is_chair else p.person_id
        if mine != column.unit.id or p.appointment.site_id != column.site.id:
            continue
        span = TimeSpan(p.appointment.starts_at, p.appointment.ends_at)
        place = frame.clipped(span, column.site.zone)
        if place:
            cards.append(
                Card(
                    appointment=p.appointment,
                    service=supply.services[p.appointment.service_code].name,
                    standing=standings[p.appointment.id],
                    row=place[0],
                    length=place[1],
                    is_twin=not column.is_chair and p.chair_id is not None,
                )
            )
    return _side_by_side(cards)


def _side_by_side(cards: Sequence[Card]) -> list[Card]:
    """Give cards that overlap in time a part of the width each (a nurse watches three)."""
    done: list[Card] = []
    group: list[tuple[Card, int]] = []
    ends: list[int] = []  # of each strip, where its last card ends

    def finish() -> None:
        width = min(max(len(ends), 1), MOST_BESIDE)
        for card, strip in group:
            done.append(_with_place(card, min(strip, width - 1) + 1, width))

    for card in sorted(cards, key=lambda c: (c.row, -c.length)):
        if group and card.row >= max(ends):
            finish()
            group, ends = [], []
        strip = next((n for n, end in enumerate(ends) if end <= card.row), len(ends))
        if strip == len(ends):
            ends.append(0)
        ends[strip] = card.row + card.length
        group.append((card, strip))
    finish()
    return done


def _with_place(card: Card, beside: int, of: int) -> Card:
    return Card(
        card.appointment,
        card.service,
        card.standing,
        card.row,
        card.length,
        card.is_twin,
        beside,
        of,
    )


#: What a time is kept for, by the kind of its hold.
KEPT_WORDS = {
    HoldKind.FORM: "Being chosen online, until {until}",
    HoldKind.UNDO: "Called off, may be taken back until {until}",
    HoldKind.PENCIL: "Pencilled in for a likely course",
    HoldKind.OFFER: "Offered to the waitlist, until {until}",
}


def _add_kept(
    columns: Sequence[Column], sites: Sequence[SiteSupply], frame: _Frame, *, now: datetime
) -> None:
    for site in sites:
        span = day_span(frame.day, site.zone)
        by_lane = {lane: c for c in columns if c.site.id == site.id for lane in c.unit.lanes}
        for hold in book.holds_between([site.id], span.start, span.end, now=now):
            seen: set[str] = set()
            for claim in hold.claims:
                column = by_lane.get(claim.lane_id)
                place = frame.clipped(TimeSpan(claim.starts_at, claim.ends_at), site.zone)
                if column is None or place is None or column.key in seen:
                    continue
                seen.add(column.key)
                until = _brief(hold.expires_at, site.zone)
                column.kept.append(Kept(*place, KEPT_WORDS[hold.kind].format(until=until)))


def _under(column: Column, frame: _Frame, *, now: datetime) -> str:
    """Return the line under a column's name: what a person does, when a chair is free."""
    if column.unit in column.site.former:
        return "Out of use" if column.is_chair else "No shift here"
    zone = column.site.zone
    row = frame.row_now(now, zone) if now.astimezone(zone).date() == frame.day else None
    running = [c for c in column.cards if row is not None and c.row <= row < c.row + c.length]
    if column.is_chair:
        if row is None or any(s.row <= row < s.row + s.length for s in column.shut):
            return ""
        if any(c.appointment.status is Status.ARRIVED for c in column.cards):
            return "In use"
        if not running:
            return "Free now"
        end = max(c.row + c.length for c in running)
        minutes = frame.first_hour * 60 + end * MINUTES_A_ROW
        return f"Free {(minutes // 60 - 1) % 12 + 1}:{minutes % 60:02}"
    skills = column.unit.skills
    if "nurse" in skills:
        lanes = len(column.unit.lanes)
        return f"Nurse · {len(running)} of {lanes}" if row is not None else "Nurse"
    if "approve-plans" in skills:
        return "Clinician"
    return "Calls" if skills & {"calls", "chats"} else ""


def _line(p: Placed, supply: Supply, standings: dict[int, Standing]) -> Line:
    site = supply.sites[p.appointment.site_id]
    names = site.names
    return Line(
        appointment=p.appointment,
        service=supply.services[p.appointment.service_code].name,
        standing=standings[p.appointment.id],
        chair=names.get(p.chair_id or 0, ""),
        person=names.get(p.person_id or 0, ""),
    )


def _counts(placed: Sequence[Placed], standings: dict[int, Standing]) -> list[Count]:
    """Return what the strip says, the most pressing first; nothing that is nought."""
    late = here = unsure = to_call = look = 0
    stages = dict.fromkeys(Stage, 0)
    for p in placed:
        a, how = p.appointment, standings[p.appointment.id]
        late += how.tone is Tone.TROUBLE and a.status is Status.BOOKED
        here += a.status is Status.ARRIVED and how.stage is None
        if how.stage is not None:
            stages[how.stage] += 1
        unsure += how.words.startswith(UNCONFIRMED)
        look += how.words.endswith(LOOK_DUE)
        to_call += a.status is Status.BOOKED and a.service_code in CALLS
    all_of_them = [
        (late, Count("▲", f"{late} late", Tone.TROUBLE)),
        (look, Count("▲", f"{look} due for vital signs", Tone.ATTENTION)),
        (stages[Stage.SAFE], Count("✓", f"{stages[Stage.SAFE]} safe to go", Tone.FINE)),
        (stages[Stage.INFUSING], Count("●", f"{stages[Stage.INFUSING]} infusing", Tone.HERE)),
        (stages[Stage.RECOVERING], Count("●", f"{stages[Stage.RECOVERING]} recovering", Tone.HERE)),
        (stages[Stage.READY], Count("✓", f"{stages[Stage.READY]} ready", Tone.FINE)),
        (here, Count("●", f"{here} here now", Tone.HERE)),
        (unsure, Count("◷", f"{unsure} not confirmed", Tone.ATTENTION)),
        (to_call, Count("", f"{to_call} to call", Tone.PLAIN)),
    ]
    return [count for number, count in all_of_them if number]


def _next_free(sites: Sequence[SiteSupply], day: date, *, now: datetime) -> list[str]:
    """Return one sentence a site: when the next chair with a nurse is free on that day."""
    sentences = []
    offering = clinic_supply.current().services.get(ServiceCode.INFUSION)
    ahead = [site for site in sites if day_span(day, site.zone).end > now]
    if offering is None or offering.need(NeedKind.CHAIR) is None:
        return []
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=[site.id for site in ahead],
        since=day,
        until=day + timedelta(days=1),
        now=now,
        audience=Audience.DESK,
    )
    for site in ahead:
        starts = (o.starts_at for o in found if o.site_id == site.id and o.starts_at >= now)
        first = next(starts, None)
        where = f"{site.name}: n" if len(sites) > 1 else "N"
        if first:
            sentences.append(f"{where}ext free chair with a nurse: {_brief(first, site.zone)}")
        else:
            sentences.append(f"{where}o free chair with a nurse left")
    return sentences


def _outcomes(appointment_ids: Sequence[int]) -> dict[int, Outcome]:
    rows = db.session.execute(
        select(CallOutcome.appointment_id, CallOutcome.outcome)
        .where(CallOutcome.appointment_id.in_(list(appointment_ids)))
        .order_by(CallOutcome.id)
    )
    return {row.appointment_id: row.outcome for row in rows}  # the newest counts


def _brief(moment: datetime, zone: ZoneInfo) -> str:
    wall = moment.astimezone(zone)
    return f"{(wall.hour - 1) % 12 + 1}:{wall.minute:02}"
