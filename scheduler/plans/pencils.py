"""A likely course, pencilled in before the chat: times kept that nobody is told of.

Each date is a hold of the book with an expiry, 24 hours after the chat. The chat confirms them,
spaces them anew or gives them back, in the act that records it; a signed plan books them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from scheduler.audit import service as audit
from scheduler.booking import offers
from scheduler.booking import service as booking
from scheduler.booking.allocation import everything_at, lock, refuse_gone
from scheduler.booking.errors import NotOffered, SlotTaken
from scheduler.booking.models import Hold, HoldKind
from scheduler.booking.offers import Audience
from scheduler.clinic import queries as clinic_queries
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Pain
from scheduler.plans import library, optimiser, rules, visits
from scheduler.plans.errors import WrongPlanState
from scheduler.plans.models import OPEN, FollowUp, Plan
from scheduler.plans.optimiser import Start, Visit, Wishes
from scheduler.plans.protocol import Act, Combination, Phase, Protocol, Response
from scheduler.plans.rules import Window
from scheduler.treatment import queries as treatment

KEPT_AFTER_CHAT = timedelta(hours=24)


@dataclass(frozen=True)
class Likely:
    """A course that may come of the chat: for which response, and what it would be."""

    response: Response
    row_id: str
    phases: tuple[Phase, ...]

    @property
    def visits(self) -> int:
        """How many visits would be scheduled."""
        return sum(phase.count for phase in rules.until_review(self.phases))


@dataclass(frozen=True)
class Settled:
    """What became of pencilled dates in the chat."""

    kept: int
    moved: int
    added: int
    released: int


def likely(owed: FollowUp) -> list[Likely]:
    """Return the courses that may come of a chat, the likeliest first; none after severe harm.

    Judged by the condition on record, the side effects so far, and the scores of the session.
    """
    row = library.find_active()
    if row is None:
        return []
    table = library.table_of(row)
    found = []
    for response in _by_likelihood(owed, table):
        answer = table.row(
            Combination(
                table.group_of(owed.patient.pain or Pain.UNSURE),
                response,
                table.tolerability(treatment.worst_severity(owed.infusion_id)),
            )
        )
        if answer.act is Act.SERIES:
            found.append(Likely(response, answer.id, answer.phases))
    return found


def pencil(owed: FollowUp, response: Response, *, actor: str, now: datetime) -> list[Hold]:
    """Keep the dates of the course that would come of a response; earlier ones are given back.

    Nothing goes to the patient, and nothing is booked.

    Raises:
        WrongPlanState: the chat was held, the visit fell away, or there is a plan already; or no
            course would come of it.
        SlotTaken: not one of its dates is free.
    """
    patient = owed.patient
    lock(everything_at(clinic_supply.current().sites.values(), patient.resource_id))
    for row in (owed, owed.infusion, owed.chat):  # as they stand now that nobody else writes
        if row is not None:
            db.session.refresh(row)
    refuse_gone(patient)
    if owed.closed_at is not None:
        raise WrongPlanState("The chat was held, or the visit fell away. Nothing to pencil in.")
    if db.session.scalar(
        select(Plan.id).where(Plan.patient_id == patient.id, Plan.state.in_(OPEN))
    ):
        raise WrongPlanState("There is a plan already.")
    course = next((c for c in likely(owed) if c.response is response), None)
    if course is None:
        raise WrongPlanState("No series of visits would come of that.")
    release(owed, actor=actor, now=now)
    until = _until(owed, now=now)
    infusion = owed.infusion
    windows = rules.windows(
        course.phases,
        last_infusion_on=infusion.starts_at.astimezone(infusion.site.zone).date(),
        today=_chat_day(owed, now=now),
        zone=infusion.site.zone,
        usual=infusion.starts_at.astimezone(infusion.site.zone).time(),
    )
    home = patient.home_site_id or infusion.site_id
    recovery = max(p.recovery_minutes for p in rules.until_review(course.phases))
    starts = _place(owed, windows, [], home, recovery, now=now)
    held = _hold(owed, starts, recovery, until=until, now=now)
    if not held:
        raise SlotTaken("Not one of its dates is free.")
    _note(owed, "course.pencilled", actor=actor, now=now, dates=len(held), row=course.row_id)
    return held


def settle(
    owed: FollowUp,
    windows: Sequence[Window],
    *,
    recovery_minutes: int,
    home_site_id: int,
    actor: str,
    now: datetime,
) -> Settled | None:
    """Keep, move or give back what was pencilled in, by the windows of the draft; None: nothing.

    The caller holds the locks of everything at every site. No windows: all are given back.
    """
    before = live(owed, now=now)
    if not before:
        return None
    if not windows:
        return Settled(0, 0, 0, release(owed, actor=actor, now=now))
    wanted = {
        (start.site_id, start.at): start
        for start in _place(owed, windows, before, home_site_id, recovery_minutes, now=now)
    }
    until = now + KEPT_AFTER_CHAT
    stays = [hold for hold in before if (hold.site_id, hold.starts_at) in wanted]
    for hold in before:
        if hold in stays:
            hold.expires_at = max(hold.expires_at, until)
            del wanted[hold.site_id, hold.starts_at]
        else:
            booking.release_hold(hold)
    new = _hold(owed, list(wanted.values()), recovery_minutes, until=until, now=now)
    gone = len(before) - len(stays)
    done = Settled(
        kept=len(stays),
        moved=min(gone, len(new)),
        added=max(len(new) - gone, 0),
        released=max(gone - len(new), 0),
    )
    _note(owed, "course.pencil-settled", actor=actor, now=now, kept=done.kept, moved=done.moved)
    return done


def give_back(owed: FollowUp, *, actor: str, now: datetime) -> int:
    """Give back on request what was pencilled in; return how many dates."""
    lock(everything_at(clinic_supply.current().sites.values(), owed.patient.resource_id))
    return release(owed, actor=actor, now=now)


def release(owed: FollowUp | None, *, actor: str, now: datetime) -> int:
    """Give back what was pencilled in, expired or not; return how many dates."""
    rows = _all(owed) if owed is not None else []
    for row in rows:
        booking.release_hold(row)
    if owed is not None and rows:
        _note(owed, "course.pencil-released", actor=actor, now=now, dates=len(rows))
    return len(rows)


def follow(owed: FollowUp, *, actor: str, now: datetime) -> None:
    """Keep pencilled dates until 24 hours after the chat, wherever it is now; none without it."""
    if not owed.infusion.is_live:
        release(owed, actor=actor, now=now)
        return
    until = _until(owed, now=now)
    for hold in live(owed, now=now):
        hold.expires_at = until
    db.session.flush()


def live(owed: FollowUp, *, now: datetime) -> list[Hold]:
    """Return what is pencilled in and still kept, in order of time."""
    return [hold for hold in _all(owed) if hold.expires_at > now]


def _all(owed: FollowUp) -> list[Hold]:
    return list(
        db.session.scalars(
            select(Hold)
            .where(Hold.kind == HoldKind.PENCIL, Hold.holder == _holder(owed))
            .order_by(Hold.starts_at)
        )
    )


def _holder(owed: FollowUp) -> str:
    return f"follow-up:{owed.id}"


def _by_likelihood(owed: FollowUp, table: Protocol) -> list[Response]:
    """Return the responses a course may come of, the one the session's scores speak for first."""
    before, after = treatment.baseline(owed.infusion_id), treatment.after(owed.infusion_id)
    speaks = table.response(before, after) if before is not None and after is not None else None
    return sorted(
        (Response.SUBSTANTIAL, Response.PARTIAL, Response.UNCLEAR), key=lambda r: r is not speaks
    )


def _until(owed: FollowUp, *, now: datetime) -> datetime:
    chat = owed.chat.starts_at if owed.chat is not None else owed.due_until
    return max(chat, now) + KEPT_AFTER_CHAT


def _chat_day(owed: FollowUp, *, now: datetime) -> date:
    zone = owed.infusion.site.zone
    due = owed.chat.starts_at if owed.chat is not None else owed.due_from
    return max(due, now).astimezone(zone).date()


def _place(
    owed: FollowUp,
    windows: Sequence[Window],
    before: Sequence[Hold],
    home_site_id: int,
    recovery_minutes: int,
    *,
    now: datetime,
) -> list[Start]:
    """Return the best dates; what is kept already stays where it fits."""
    patient, infusion = owed.patient, owed.infusion
    sites = clinic_supply.current().sites
    kept = [Start.on_wall(h.starts_at, h.site_id, sites[h.site_id].zone) for h in before]
    found = offers.find(
        ServiceCode.INFUSION,
        site_ids=list(sites),
        since=max(min(w.earliest for w in windows), now + timedelta(hours=1)),
        until=max(w.latest for w in windows),
        now=now,
        audience=Audience.DESK,
        patient_lane=clinic_queries.lane_of(patient.resource_id),
        longer_minutes=max(visits.longer_than_usual(recovery_minutes, site) for site in sites),
    )
    free = [Start.on_wall(o.starts_at, o.site_id, sites[o.site_id].zone) for o in found]
    free = sorted({*free, *kept})
    last = Start.on_wall(infusion.starts_at, infusion.site_id, infusion.site.zone)
    wishes = Wishes(
        home_site_id=home_site_id,
        minute=last.minute,
        min_hours=_least_hours(),
        before=last,
    )
    zone = sites[home_site_id].zone
    mine = [next((s for s in kept if w.earliest <= s.at < w.latest), None) for w in windows]

    def wanted(*, stay: bool) -> list[Visit]:
        return [
            Visit(
                number=w.number,
                ideal_day=w.ideal.astimezone(zone).toordinal(),
                min_days=w.min_days,
                target_days=w.target_days,
                max_days=w.max_days,
                starts=(own,)
                if stay and own is not None
                else tuple(s for s in free if w.earliest <= s.at < w.latest),
            )
            for w, own in zip(windows, mine, strict=True)
        ]

    series = optimiser.place(wanted(stay=False), wishes)
    if any(mine):
        as_kept = optimiser.place(wanted(stay=True), wishes)
        # Staying is worth a day from ideal for each visit, and no more than that.
        most = series.cost + len(windows) * optimiser.DAY_OFF
        if as_kept.placed == series.placed and as_kept.cost <= most:
            series = as_kept
    return [p.start for p in series.placements if p.start is not None]


def _least_hours() -> int:
    return library.table_of(library.active()).min_hours_between


def _hold(
    owed: FollowUp,
    starts: Sequence[Start],
    recovery_minutes: int,
    *,
    until: datetime,
    now: datetime,
) -> list[Hold]:
    held = []
    for start in starts:
        try:
            with db.session.begin_nested():
                row = booking.pencil(
                    ServiceCode.INFUSION,
                    start.site_id,
                    start.at,
                    holder=_holder(owed),
                    expires_at=until,
                    now=now,
                    longer_minutes=visits.longer_than_usual(recovery_minutes, start.site_id),
                )
            held.append(row)
        except (NotOffered, SlotTaken):
            continue  # the plan will find it another
    return held


def _note(owed: FollowUp, action: str, *, actor: str, now: datetime, **detail: object) -> None:
    audit.record(
        action,
        _holder(owed),
        actor=actor,
        now=now,
        patient_id=owed.patient_id,
        **detail,
    )
