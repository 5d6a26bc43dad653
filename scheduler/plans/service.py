"""Every act on an appointment enters here, so that a plan can care; without one it falls through.

Doors call these and nothing of the book's own verbs (design section 2, "Where rooms meet"). A
plan is proposed and signed in `approval`, and all its visits are booked in `scheduling`.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import func, select, update

from scheduler.booking import merging, overruns, queries, soft
from scheduler.booking import service as booking
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.errors import NoAuthority
from scheduler.booking.models import Appointment, Authority, Status
from scheduler.booking.offers import Audience
from scheduler.booking.soft import Excuse
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.timespan import instant
from scheduler.messaging import consent, outbox
from scheduler.patients import service as patients
from scheduler.patients.models import Patient
from scheduler.plans import followups, pencils, rules, safety, visits
from scheduler.plans.errors import OutsideWindow, WrongPlanState
from scheduler.plans.models import (
    OPEN,
    SIGNED,
    Assessment,
    FollowUp,
    Plan,
    PlannedVisit,
    PlanState,
    ReliefReport,
    VisitState,
)
from scheduler.tasks import service as tasks
from scheduler.treatment import chair, clearance
from scheduler.treatment import service as treatment
from scheduler.treatment.chair import Override
from scheduler.treatment.models import CallOutcome, Outcome, SessionEvent
from scheduler.waitlist import service as waitlist

#: The task that asks for a second look at a plan whose visits are all held; topic "plan:3".
REASSESS = "reassess"
PUT_BACK = "Put back as it was."


@dataclass(frozen=True)
class FirstBooked:
    """A first infusion with the chat that follows it, or the reason why none is booked yet."""

    infusion: Appointment
    chat: Appointment | None
    owed: FollowUp


def book_first_infusion(
    patient: Patient,
    site_id: int,
    starts_at: datetime,
    *,
    actor: str,
    now: datetime,
    person_id: int | None = None,
    chair_id: int | None = None,
    chat_at: tuple[int, datetime] | None = None,
    override: Override | None = None,
    excuse: Excuse | None = None,
    note: str | None = None,
    notify: bool = True,
) -> FirstBooked:
    """Book a first infusion on the patient's clearance, and its follow-up chat with it.

    Args:
        chat_at: (site, moment) of the chat; else the free time nearest to three days after, and
            when there is none within its days, the chat is left due and on the desk's list.
        override: A clinician's word for a time too close to another infusion.
        excuse: Why notice, horizon or a nurse's number may be set aside.

    Raises:
        SoftRule, AtRatio: one of these is in the way, and there is no excuse.
        NotCleared: there is no clearance, or an answer changed since it was signed.
        OutsideWindow: `chat_at` is not in the days after the infusion.
        NotOffered, SlotTaken, PatientBusy, TooClose: as for any booking.
    """
    _lock_all(patient)
    cleared = clearance.require(patient)
    broken = soft.insist(ServiceCode.FIRST_INFUSION, starts_at, excuse, now=now)
    infusion = booking.book(
        ServiceCode.FIRST_INFUSION,
        site_id,
        starts_at,
        patient,
        actor=actor,
        now=now,
        person_id=person_id,
        chair_id=chair_id,
        authority=(Authority.CLEARANCE, f"clearance:{cleared.id}", None),
        spacing_reason=_spacing(
            patient, ServiceCode.FIRST_INFUSION, site_id, starts_at, override, actor=actor, now=now
        ),
        note=note,
        beyond_ratio=excuse is not None and excuse.sets_aside(soft.Rule.RATIO),
        notify=notify,
    )
    soft.note(infusion, broken, excuse, actor=actor, now=now)
    owed = followups.owe(infusion)
    if chat_at is not None and not owed.due_from <= chat_at[1] < owed.due_until:
        raise OutsideWindow("The chat belongs in the days after the visit.", field="chat")
    chat = followups.book_chat(owed, at=chat_at, actor=actor, now=now, notify=notify)
    return FirstBooked(infusion, chat, owed)


def book_chat(
    owed: FollowUp, site_id: int, starts_at: datetime, *, actor: str, now: datetime
) -> Appointment:
    """Book the chat that is still owed after a first infusion; late is better than never.

    Raises:
        WrongPlanState: one is booked, or it was held.
        NotOffered, SlotTaken, PatientBusy: as for any booking.
    """
    _lock_all(owed.patient)
    db.session.refresh(owed, ["chat_id", "closed_at"])
    if owed.chat_id is not None or owed.closed_at is not None:
        raise WrongPlanState("This chat is booked already, or was held.")
    chat = followups.book_chat(owed, at=(site_id, starts_at), actor=actor, now=now)
    assert chat is not None
    return chat


def book(
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    patient: Patient,
    *,
    actor: str,
    now: datetime,
    person_id: int | None = None,
    chair_id: int | None = None,
    authority: safety.Grant | None = None,
    override: Override | None = None,
    excuse: Excuse | None = None,
    note: str | None = None,
    notify: bool = True,
) -> Appointment:
    """Book for the desk; see booking.service.book for what is refused.

    An infusion needs an authority that holds: a clearance, a signed plan, or a clinician's word.

    Args:
        override: A clinician's word for an infusion too close to another; also its authority
            when there is no other.
        excuse: Why notice, horizon or a nurse's number may be set aside.

    Raises:
        SoftRule, AtRatio: one of these is in the way, and there is no excuse.
        NoAuthority, NotCleared: nothing entitles the infusion.
        TooClose: another infusion is nearer than the protocol allows.
    """
    broken = soft.insist(service, starts_at, excuse, now=now)
    spacing = None
    if service in safety.INFUSIONS:
        _lock_all(patient)
        if authority is None and override is not None:
            authority = safety.by_override(override, patient=patient, now=now)
        safety.check_authority(service, patient, authority)
        spacing = _spacing(patient, service, site_id, starts_at, override, actor=actor, now=now)
    made = booking.book(
        service,
        site_id,
        starts_at,
        patient,
        actor=actor,
        now=now,
        person_id=person_id,
        chair_id=chair_id,
        authority=authority,
        spacing_reason=spacing,
        note=note,
        beyond_ratio=excuse is not None and excuse.sets_aside(soft.Rule.RATIO),
        notify=notify,
    )
    soft.note(made, broken, excuse, actor=actor, now=now)
    if service is ServiceCode.FIRST_INFUSION:
        followups.owe(made)
    elif service is ServiceCode.CHAT:
        _answer_owed_chat(made)
    return made


def book_held(
    hold_id: int,
    *,
    holder: str,
    patient: Patient,
    actor: str,
    now: datetime,
    audience: Audience = Audience.ONLINE,
) -> Appointment:
    """Turn a visitor's hold into a booking."""
    return booking.book_held(
        hold_id, holder=holder, patient=patient, actor=actor, now=now, audience=audience
    )


def move(
    appointment: Appointment,
    *,
    starts_at: datetime,
    site_id: int | None = None,
    person_id: int | None = None,
    chair_id: int | None = None,
    version: int,
    actor: str,
    now: datetime,
    audience: Audience = Audience.DESK,
    reason: str | None = None,
    override: Override | None = None,
    excuse: Excuse | None = None,
    is_undo: bool = False,
    notify: bool = True,
) -> Appointment:
    """Give an appointment another time, place or person.

    A planned visit stays in its window or says why; a first infusion takes its chat along.

    Args:
        reason: Why a planned visit, or a chat, may leave its window.
        override: A clinician's word for a time too close to another infusion.
        excuse: Why notice, horizon or a nurse's number may be set aside; asked of staff only.
        is_undo: Put back where it was moments ago: what excused that place then still does.

    Raises:
        OutsideWindow: it would leave its window, or be nearer to or farther from the visits
            around it than planned, and there is no reason.
        SoftRule, AtRatio: what `excuse` is for, and there is none.
        TooClose: another infusion is nearer than the protocol allows.
        NotInOrder: the infusion was started.
        Overtaken, WrongState, NotOffered, SlotTaken, PatientBusy: as in the book.
    """
    _lock_all(appointment.patient)
    if starts_at != appointment.starts_at:
        chair.refuse_if_started(appointment)
    broken: list[soft.Rule] = []
    if is_undo:
        reason = reason or PUT_BACK
    elif audience is Audience.DESK:
        broken = soft.insist(
            appointment.service_code, starts_at, excuse, now=now, was=appointment.starts_at
        )
    visit = visits.find_for(appointment.id)
    is_same = starts_at == appointment.starts_at  # what excused it there still does
    if visit is not None:
        outside = _why_there(visit, appointment, starts_at, site_id, reason)
        # Written first: the visit's start follows the appointment's, and its window is the law.
        visit.outside_reason = outside or visit.outside_reason
        db.session.flush()
    if appointment.service_code is ServiceCode.FIRST_INFUSION and not is_same:
        # What was pencilled in counted its days from where the visit was.
        pencils.release(followups.find_for_infusion(appointment.id), actor=actor, now=now)
    owed = followups.find_for_chat(appointment.id)
    is_outside = owed is not None and not owed.due_from <= starts_at < owed.due_until
    if is_outside and not is_same and not reason:
        raise OutsideWindow("The chat belongs in the days after the visit.", field="reason")
    moved = booking.move(
        appointment,
        starts_at=starts_at,
        site_id=site_id,
        person_id=person_id,
        chair_id=chair_id,
        version=version,
        actor=actor,
        now=now,
        audience=audience,
        spacing_reason=None
        if is_undo and appointment.spacing_reason
        else _spacing(
            appointment.patient,
            appointment.service_code,
            site_id or appointment.site_id,
            starts_at,
            override,
            but=appointment.id,
            actor=actor,
            now=now,
        ),
        beyond_ratio=excuse is not None and excuse.sets_aside(soft.Rule.RATIO),
        notify=notify,
    )
    soft.note(moved, broken, excuse, actor=actor, now=now)
    if visit is not None:
        db.session.refresh(visit)
        if visits.is_inside(visit, starts_at) and not is_same and outside is None:
            visit.outside_reason = None
    _judge_chat(moved, actor=actor, now=now, notify=notify)
    tasks.close_by_event("change-asked", moved.topic, "moved", actor=actor, now=now)
    return moved


def reseat(
    appointment: Appointment,
    *,
    chair_id: int | None = None,
    person_id: int | None = None,
    is_pinned: bool = True,
    version: int,
    actor: str,
    now: datetime,
) -> Appointment:
    """Give an appointment another chair or person at its own time: no plan cares."""
    return booking.reseat(
        appointment,
        chair_id=chair_id,
        person_id=person_id,
        is_pinned=is_pinned,
        version=version,
        actor=actor,
        now=now,
    )


def cancel(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    by_patient: bool = False,
    notify: bool = True,
) -> Appointment:
    """Call an appointment off. A planned visit is to be placed again, a chat still owed.

    Raises:
        NotInOrder: the infusion was started.
    """
    _lock_all(appointment.patient)
    chair.refuse_if_started(appointment)
    gone = booking.cancel(
        appointment, actor=actor, now=now, version=version, by_patient=by_patient, notify=notify
    )
    _fell_away(
        gone,
        "The patient called it off." if by_patient else "It was called off.",
        actor=actor,
        now=now,
        notify=notify,
    )
    for kind in ("change-asked", clearance.NOT_CLEARED_BOOKED):
        tasks.close_by_event(kind, gone.topic, "cancelled", actor=actor, now=now)
    return gone


def reinstate(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    audience: Audience = Audience.DESK,
) -> Appointment:
    """Take a cancellation or a no-show back; what entitled an infusion must still hold.

    Raises:
        Overtaken: somebody changed it since version `version` was read.
        NoAuthority, NotCleared: it does not.
        TooClose: another infusion was booked close to it meanwhile.
        OutsideWindow: the visits around it have dates by now that it does not go with.
        WrongPlanState: the visit it answered has another date by now.
    """
    _lock_all(appointment.patient)
    visit = visits.find_formerly(appointment.id)
    ended_at = appointment.ended_at
    if appointment.service_code in safety.INFUSIONS:
        _check_again(appointment, visit, actor=actor, now=now)
    back = booking.reinstate(appointment, actor=actor, now=now, version=version, audience=audience)
    if visit is not None:
        on = back.starts_at.astimezone(back.site.zone).date()
        outside = _check_days(visit, on, None, since=ended_at)
        if not visits.is_inside(visit, back.starts_at):
            outside = PUT_BACK
        visits.link(visit, back, outside)
    if back.service_code is ServiceCode.CHAT:
        _answer_owed_chat(back)
    _judge_chat(back, actor=actor, now=now)
    return back


def confirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Note that the patient says they will come."""
    return booking.confirm(appointment, actor=actor, now=now)


def unconfirm(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a confirmation back."""
    return booking.unconfirm(appointment, actor=actor, now=now)


def arrive(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they are here, or that the call is on. Who comes late is expected to stay late."""
    is_late = now > appointment.starts_at
    if is_late:
        _lock_all(appointment.patient)
    here = booking.arrive(appointment, actor=actor, now=now, version=version)
    if is_late:
        chair.extend_overrun(here, now=now)
    return here


def unarrive(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take a check-in back, and what was kept because of it."""
    gone = booking.unarrive(appointment, actor=actor, now=now)
    overruns.give_back(gone, until=gone.ends_at)
    return gone


def no_show(
    appointment: Appointment, *, actor: str, now: datetime, version: int | None = None
) -> Appointment:
    """Note that they did not come. A planned visit is to be placed again, a chat still owed.

    Raises:
        NotInOrder: the infusion was started.
    """
    _lock_all(appointment.patient)
    chair.refuse_if_started(appointment)
    gone = booking.no_show(appointment, actor=actor, now=now, version=version)
    _fell_away(gone, "They did not come.", actor=actor, now=now)
    return gone


def start_infusion(
    appointment: Appointment,
    *,
    override: Override | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Start an infusion: its authority must hold now, not only when it was booked.

    Raises:
        NoAuthority: the plan it belongs to no longer runs, and no clinician overrides that.
        NotReady, NotInOrder, MayNotSign: as for treatment.chair.start.
    """
    lock([appointment.patient.resource_id])  # nobody ends the plan meanwhile
    missing = []
    if appointment.authority is Authority.PLAN:
        assert appointment.authority_ref is not None
        try:
            safety.check_authority(
                appointment.service_code,
                appointment.patient,
                (Authority.PLAN, appointment.authority_ref, None),
            )
        except NoAuthority as refusal:
            if override is None:
                raise
            missing.append(refusal.message)
    return chair.start(
        appointment, override=override, also_missing=missing, at=at, actor=actor, now=now
    )


def complete_visit(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    on_paper: bool = False,
) -> Appointment:
    """Note that a visit took place; a first infusion's chat is judged again by the day it was.

    Raises:
        NotInOrder: an infusion was started, and nobody signed that they are safe to go home; or
            none was recorded here, nor, `on_paper`, anywhere else.
    """
    _lock_all(appointment.patient)
    done = chair.complete(appointment, actor=actor, now=now, version=version, on_paper=on_paper)
    _judge_chat(done, actor=actor, now=now)
    visit = visits.find_for(done.id)
    if visit is not None:
        visit.state = VisitState.HELD
        db.session.flush()
        after_last(visit.plan, actor=actor, now=now)
    return done


def reopen(appointment: Appointment, *, actor: str, now: datetime) -> Appointment:
    """Take back that it took place.

    Raises:
        WrongPlanState: its plan was complete with it, and there is another plan by now.
    """
    _lock_all(appointment.patient)
    again = booking.reopen(appointment, actor=actor, now=now)
    visit = visits.find_for(again.id)
    if visit is not None:
        db.session.refresh(visit.plan, with_for_update={"of": Plan})
        visit.state = VisitState.BOOKED
        if visit.plan.state is PlanState.COMPLETED:
            another = select(Plan.id).where(
                Plan.patient_id == visit.plan.patient_id, Plan.state.in_(OPEN)
            )
            if db.session.scalar(another.limit(1)) is not None:
                raise WrongPlanState(
                    "The plan of this visit is complete, and there is a new plan by now. "
                    "End the new one first."
                )
            visit.plan.state = PlanState.ACTIVE
        tasks.close_by_event(REASSESS, visit.plan.topic, "reopened", actor=actor, now=now)
        db.session.flush()
    return again


def record_call(
    appointment: Appointment,
    outcome: Outcome,
    *,
    note: str | None,
    actor: str,
    now: datetime,
    version: int | None = None,
) -> CallOutcome:
    """Record what a consultation call came to."""
    return treatment.record_call(
        appointment, outcome, note=note, actor=actor, now=now, version=version
    )


def confirm_by_text(topic: str, *, actor: str, now: datetime) -> Appointment | None:
    """Confirm the appointment a text answered; None when it cannot be confirmed any more."""
    appointment = queries.by_topic(topic)
    if appointment is None or appointment.starts_at <= now:
        return None
    if appointment.status is not Status.BOOKED:  # who is here already has nothing to confirm
        return None
    return booking.confirm(appointment, actor=actor, now=now)


def ask_change_by_text(topic: str, *, actor: str, now: datetime) -> Appointment | None:
    """Open a task for the desk: the patient asks for another time. Nothing is freed by it."""
    appointment = queries.by_topic(topic)
    if appointment is None or not appointment.is_live or appointment.starts_at <= now:
        return None
    tasks.open_task(
        "change-asked",
        appointment.topic,
        patient_id=appointment.patient_id,
        site_id=appointment.site_id,
        due_at=min(now + timedelta(hours=4), appointment.starts_at),
        now=now,
    )
    return appointment


def merge_patients(enquirer: Patient, into: Patient, *, actor: str, now: datetime) -> Patient:
    """Fold an enquirer into the patient they are, with all that every room keeps of them."""

    def move_rows(since: Patient, target: Patient) -> None:
        merging.hand_over(since, target, now=now)
        outbox.hand_over(since.id, target.id)
        consent.hand_over(since, target, actor=actor, origin="merge", now=now)
        tasks.hand_over(since.id, target.id)
        clearance.hand_over(since.id, target.id)
        waitlist.hand_over(since.id, target.id)
        _hand_over_plans(since.id, target.id)

    return patients.merge(enquirer, into, move_rows=move_rows, actor=actor, now=now)


def _lock_all(patient: Patient) -> None:
    """Take everything a visit of this patient may touch at any site, in one statement.

    What follows locks parts of it again, row by row; having it all first, nobody deadlocks.
    """
    lock(everything_at(clinic_supply.current().sites.values(), patient.resource_id))


def _spacing(
    patient: Patient,
    service: ServiceCode,
    site_id: int,
    starts_at: datetime,
    override: Override | None,
    *,
    but: int | None = None,
    actor: str,
    now: datetime,
) -> str | None:
    site = clinic_supply.current().sites.get(site_id)
    if service not in safety.INFUSIONS or site is None:
        return None
    return safety.check_spacing(
        patient, starts_at, site.zone, but=but, override=override, actor=actor, now=now
    )


def _why_there(
    visit: PlannedVisit,
    appointment: Appointment,
    starts_at: datetime,
    site_id: int | None,
    reason: str | None,
) -> str | None:
    """Return what to store as the reason of a visit's new time; None when it is as planned."""
    if starts_at == appointment.starts_at:
        return visits.check_window(visit, starts_at, reason or visit.outside_reason)
    outside = visits.check_window(visit, starts_at, reason)
    site = clinic_supply.current().sites.get(site_id or appointment.site_id)
    on = starts_at.astimezone(site.zone if site else appointment.site.zone).date()
    was = appointment.starts_at.astimezone(appointment.site.zone).date()
    return outside or _check_days(visit, on, reason, was=was)


def _check_days(
    visit: PlannedVisit,
    on: date,
    reason: str | None,
    *,
    was: date | None = None,
    since: datetime | None = None,
) -> str | None:
    """Return what to store as the reason of a day too near to, or far from, a neighbour's.

    None when it is as planned. What was so before for a reason, its own or the neighbour's, may
    go on as long as it becomes no worse; a reason excuses what it was given for and no more.

    Args:
        was: The day it is on now, when it is moved.
        since: It is put back as it was then: only neighbours changed since are in its way.

    Raises:
        OutsideWindow: it is not as planned, and no reason is given.
    """
    rows = db.session.execute(
        select(
            PlannedVisit.number,
            PlannedVisit.state,
            PlannedVisit.min_days,
            PlannedVisit.max_days,
            PlannedVisit.outside_reason,
            Appointment.starts_at,
            Appointment.site_id,
            Appointment.changed_at,
        )
        .outerjoin(Appointment, PlannedVisit.appointment_id == Appointment.id)
        .where(PlannedVisit.plan_id == visit.plan_id)
        .order_by(PlannedVisit.number)
    ).all()
    placed = [r for r in rows if r.starts_at is not None and r.number != visit.number]
    before = [r for r in placed if r.number < visit.number][-1:]
    after = [r for r in placed if r.number > visit.number][:1]
    sites = clinic_supply.current().sites
    kept: str | None = None
    for other in (*before, *after):
        first, second = sorted((other.number, visit.number))
        least, most = visits.apart(rows, first, second)
        its_day = other.starts_at.astimezone(sites[other.site_id].zone).date()
        gap, former = (
            (day - its_day).days if other.number == first else (its_day - day).days
            for day in (on, was or on)
        )
        if least <= gap <= most:
            continue
        if (reason or "").strip():
            return (reason or "").strip()
        is_no_worse = former <= gap < least if gap < least else most < gap <= former
        if was is not None and is_no_worse and (visit.outside_reason or other.outside_reason):
            kept = visit.outside_reason
            continue
        if since is not None and other.changed_at <= since:
            return PUT_BACK
        apart = (
            f"would be {rules.plural(gap, 'day')} apart"
            if gap >= 0
            else "would be in the wrong order"
        )
        raise OutsideWindow(
            f"Visits {first} and {second} {apart}; {least} to {most} days are planned. "
            "Say why it may be so.",
            field="reason",
        )
    return kept


def _check_again(
    appointment: Appointment, visit: PlannedVisit | None, *, actor: str, now: datetime
) -> None:
    kind, ref = appointment.authority, appointment.authority_ref
    assert kind is not None
    assert ref is not None
    if kind is Authority.CLEARANCE:
        clearance.require(appointment.patient)  # signed anew is as good
    else:
        safety.check_authority(
            appointment.service_code,
            appointment.patient,
            (kind, ref, appointment.authority_reason),
        )
    if kind is Authority.PLAN and visit is None:
        raise WrongPlanState("The plan has another date for this visit by now.")
    if appointment.spacing_reason is None:
        _spacing(
            appointment.patient,
            appointment.service_code,
            appointment.site_id,
            appointment.starts_at,
            None,
            but=appointment.id,
            actor=actor,
            now=now,
        )


def _judge_chat(changed: Appointment, *, actor: str, now: datetime, notify: bool = True) -> None:
    """Let the chat follow its infusion, and what is pencilled in follow the chat."""
    owed = followups.find_for_infusion(changed.id)
    if owed is not None:
        followups.judge_again(owed, actor=actor, now=now, notify=notify)
    owed = owed or followups.find_for_chat(changed.id)
    if owed is not None:
        pencils.follow(owed, actor=actor, now=now)


def _fell_away(
    gone: Appointment, why: str, *, actor: str, now: datetime, notify: bool = True
) -> None:
    visit = visits.find_for(gone.id)
    if visit is not None:
        visits.unlink(visit, why)
    owed = followups.find_for_chat(gone.id)
    if owed is not None:
        followups.chat_fell_away(owed, why)
        pencils.follow(owed, actor=actor, now=now)
    _judge_chat(gone, actor=actor, now=now, notify=notify)


def _answer_owed_chat(chat: Appointment) -> None:
    """Let a chat that was booked by itself be the one the patient is owed."""
    owed = db.session.scalar(
        select(FollowUp)
        .where(
            FollowUp.patient_id == chat.patient_id,
            FollowUp.chat_id.is_(None),
            FollowUp.closed_at.is_(None),
        )
        .order_by(FollowUp.id)
        .limit(1)
    )
    if owed is not None:
        owed.chat_id, owed.reason = chat.id, None
        db.session.flush()
        db.session.expire(owed, ["chat"])


def after_last(plan: Plan, *, actor: str, now: datetime) -> None:
    """When every visit is held or dropped: the plan is looked at again, or has run its course."""
    left = db.session.scalar(
        select(func.count())
        .select_from(PlannedVisit)
        .where(
            PlannedVisit.plan_id == plan.id,
            PlannedVisit.state.in_((VisitState.TO_PLACE, VisitState.BOOKED)),
        )
    )
    if left or plan.state not in SIGNED:
        return
    if plan.review_on is None:
        plan.state = PlanState.COMPLETED
    else:
        tasks.open_task(
            REASSESS,
            plan.topic,
            now=now,
            due_at=max(instant(plan.review_on, time(0), plan.site.zone), now),
            patient_id=plan.patient_id,
            site_id=plan.site_id,
        )
    plan.version += 1
    plan.changed_at, plan.changed_by, plan.change = now, actor, "closed the last visit of"
    db.session.flush()


def _hand_over_plans(since_id: int, target_id: int) -> None:
    """Give one person's course to the record they are kept under; two open ones are one too many.

    Raises:
        WrongPlanState: both have a plan that is open.
    """
    both = db.session.scalars(
        select(Plan).where(Plan.patient_id.in_((since_id, target_id)), Plan.state.in_(OPEN))
    ).all()
    if len(both) > 1:
        raise WrongPlanState("Both records have a plan. End one of them first.")
    for change in (
        update(FollowUp).where(FollowUp.patient_id == since_id).values(patient_id=target_id),
        update(Assessment).where(Assessment.patient_id == since_id).values(patient_id=target_id),
        update(Plan).where(Plan.patient_id == since_id).values(patient_id=target_id),
        update(ReliefReport)
        .where(ReliefReport.patient_id == since_id)
        .values(patient_id=target_id),
    ):
        db.session.execute(change, execution_options={"synchronize_session": "fetch"})
