"""From a follow-up chat to a signed plan: assessment, proposal, a clinician's word."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act as Right
from scheduler.accounts.rules import may
from scheduler.audit import service as audit
from scheduler.booking import queries as book_queries
from scheduler.booking import service as booking
from scheduler.booking.allocation import everything_at, lock, refuse_gone
from scheduler.booking.models import Appointment, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.core.tokens import public_id
from scheduler.patients.models import Pain, Patient
from scheduler.plans import followups, library, pencils, queries, rules, safety
from scheduler.plans.errors import DraftBlocked, MayNotSign, PlanOvertaken, WrongPlanState
from scheduler.plans.models import (
    OPEN,
    Assessment,
    FollowUp,
    Impression,
    Plan,
    PlannedVisit,
    PlanSignature,
    PlanState,
    PlanVersion,
    Verdict,
    VisitState,
)
from scheduler.plans.pencils import Settled
from scheduler.plans.protocol import Act, Phase
from scheduler.plans.rules import Inputs, Proposal, Window
from scheduler.tasks import service as tasks
from scheduler.treatment import clearance
from scheduler.treatment import queries as treatment
from scheduler.treatment.chair import Override
from scheduler.treatment.models import Answer, Decision, EventKind

#: The task that asks a clinician to look before anything is proposed; topic "assessment:3".
LOOK_FIRST = "clinician-review"
MOST_DAYS = 2 * 366
#: From which severity on harm blocks when no protocol says so.
SEVERE = 3
SEVERE_WORDS = "A severe side effect was recorded in the session."
ITEM_9_WORDS = (
    "Question 9 of the PHQ-9 is above 0: thoughts of being better off dead. Talk with them today."
)
CHANGED_WORDS = "An answer changed since the clearance was signed."
OUTDATED_WORDS = "The chat was recorded anew since this was drafted."
REFUSED_WORDS = "A clinician signed that they are not cleared."


@dataclass(frozen=True)
class Block:
    """What keeps a plan from being drafted or signed: which fact, and in words for staff."""

    ref: str  # "side-effect:12", "phq9-item9:3", "screening:7"
    words: str


@dataclass(frozen=True)
class ChatHeld:
    """What came of a chat: what was found, and a draft, or what blocks it."""

    assessment: Assessment
    plan: Plan | None
    blocks: Sequence[str]
    pencilled: Settled | None = None  # what became of the dates kept before the chat


def record_chat(
    owed: FollowUp,
    *,
    baseline: int,
    score: int,
    relief_days: int,
    relief_holds: bool,
    condition: Pain,
    impression: Impression,
    peg_before: Sequence[int] | None = None,
    peg_since: Sequence[int] | None = None,
    phq9: int | None = None,
    phq9_item9: int | None = None,
    news: Sequence[str] = (),
    goals: str | None = None,
    note: str | None = None,
    actor: str,
    now: datetime,
) -> ChatHeld:
    """Record a follow-up chat, close it in the book, and draft a plan or raise a task.

    Recording again corrects: the newest counts, and an unsigned draft is drawn up anew. Dates
    that were pencilled in are confirmed, spaced anew or given back, by what the draft says.

    Args:
        peg_before: Pain, enjoyment of life, general activity before the infusion, 0 to 10 each.
        phq9: The sum of a PHQ-9, 0 to 27; `phq9_item9` is its last question, 0 to 3.
        news: Contraindications of the clearance's list that are there now, or may be.

    Raises:
        Invalid: a score outside of its scale, or the infusion has not taken place.
        NoProtocol: no protocol is active.
        WrongPlanState: the patient has a signed plan already.
    """
    sites = clinic_supply.current().sites.values()  # all, for the dates that may be pencilled in
    lock(everything_at(sites, owed.patient.resource_id))
    for row in (owed, owed.infusion, owed.chat):  # as they stand now that nobody else writes
        if row is not None:
            db.session.refresh(row)
    before = queries.newest_assessment(owed.infusion_id)
    again = _drafted_already(
        before,
        owed,
        (
            Inputs(
                baseline=baseline,
                score=score,
                relief_days=relief_days,
                relief_holds=relief_holds,
                condition=condition,
                worst_severity=treatment.worst_severity(owed.infusion_id),
                impression=impression,
                peg_before=_as_list(peg_before),
                peg_since=_as_list(peg_since),
                phq9=phq9,
            ),
            phq9_item9,
            goals or None,
            note or None,
        ),
    )
    if again is not None and not _new_answers(owed.patient, news):
        return again
    assessment = _assess(
        owed,
        baseline=baseline,
        score=score,
        relief_days=relief_days,
        relief_holds=relief_holds,
        condition=condition,
        impression=impression,
        peg_before=peg_before,
        peg_since=peg_since,
        phq9=phq9,
        phq9_item9=phq9_item9,
        goals=goals,
        note=note,
        actor=actor,
        now=now,
    )
    for item in _new_answers(owed.patient, news):
        clearance.answer(
            owed.patient, item, Answer.YES, note="Said in the chat.", actor=actor, now=now
        )
    chat = owed.chat
    if before is not None:
        tasks.close_by_event(
            LOOK_FIRST, f"assessment:{before.id}", "recorded again", actor=actor, now=now
        )
    if chat is not None and chat.status in (Status.BOOKED, Status.ARRIVED):
        booking.fulfil(chat, actor=actor, now=now)
    owed.closed_at, owed.outcome, owed.reason = now, "held", None
    db.session.flush()
    found = blocks(assessment)
    if found:
        _ask_to_look(assessment, site_id=owed.infusion.site_id, now=now)
        # Nobody knows when a clinician has looked: the chairs are not kept meanwhile.
        given_back = pencils.release(owed, actor=actor, now=now)
        settled = Settled(0, 0, 0, given_back) if given_back else None
        return ChatHeld(assessment, None, [block.words for block in found], settled)
    plan = propose(assessment, actor=actor, now=now)
    return ChatHeld(assessment, plan, (), _settle_pencils(owed, plan, actor=actor, now=now))


def _drafted_already(
    before: Assessment | None, owed: FollowUp, answers: tuple[object, ...]
) -> ChatHeld | None:
    """Return what came of the chat when just this was recorded: a button pressed twice."""
    if before is None or owed.outcome != "held":
        return None
    if (inputs_of(before), before.phq9_item9, before.goals, before.note) != answers:
        return None
    plan = _open_plan(before.patient_id)
    active = library.find_active()
    if plan is not None and plan.assessment_id == before.id:
        return ChatHeld(before, plan, ()) if active and plan.protocol_id == active.id else None
    found = blocks(before)
    return ChatHeld(before, None, [block.words for block in found]) if found else None


def _new_answers(patient: Patient, news: Sequence[str]) -> list[str]:
    """Return which of these contraindications are not known to be there yet."""
    standing = clearance.current(patient)
    return [item for item in news if standing.answer(item) is not Answer.YES]


def _as_list(items: Sequence[int] | None) -> list[int] | None:
    return None if items is None else list(items)


def inputs_of(assessment: Assessment) -> Inputs:
    """Return an assessment as the decision table needs it."""
    return Inputs(
        baseline=assessment.baseline,
        score=assessment.score,
        relief_days=assessment.relief_days,
        relief_holds=assessment.relief_holds,
        condition=assessment.condition,
        worst_severity=assessment.worst_severity,
        impression=assessment.impression,
        peg_before=assessment.peg_before,
        peg_since=assessment.peg_since,
        phq9=assessment.phq9,
    )


def blocks(assessment: Assessment) -> list[Block]:
    """Return what keeps a plan from being drafted on an assessment, each fact by itself."""
    return [
        *_severe_blocks(assessment),
        *_mood_blocks(assessment),
        *_clearance_blocks(db.session.get_one(Patient, assessment.patient_id)),
    ]


def blocks_of(plan: Plan) -> list[Block]:
    """Return what keeps a draft from being signed: not what it was knowingly drafted over.

    Judged by the newest record of the chat, which may be newer than the draft.
    """
    newest = queries.newest_assessment(plan.assessment.infusion_id) or plan.assessment
    found = blocks(newest)
    if newest.id != plan.assessment_id:
        found.append(Block(f"assessment:{newest.id}", OUTDATED_WORDS))
    over = proposal_of(plan).over
    return [block for block in found if block.ref not in over]


def would_block(
    owed: FollowUp, *, phq9_item9: int | None = None, news: Sequence[str] = ()
) -> list[str]:
    """Return, in words, what would keep a plan from being drafted on answers not recorded yet."""
    found = [SEVERE_WORDS] if treatment.worst_severity(owed.infusion_id) >= _severe() else []
    if phq9_item9:
        found.append(ITEM_9_WORDS)
    found += [block.words for block in _clearance_blocks(owed.patient)]
    return found + [
        f"{CHANGED_WORDS} {clearance.item_words(item)}."
        for item in _new_answers(owed.patient, news)
    ]


def look_again(
    patient: Patient, *, infusion_id: int | None = None, actor: str, now: datetime
) -> None:
    """Judge a patient's draft anew when something was recorded: what blocks it raises a task.

    The task closes by itself when nothing is in the way any more. A plan that is signed already
    stands; severe harm written into the first infusion's record (`infusion_id`) asks all the same.
    """
    plan = _open_plan(patient.id)
    if plan is None:
        return
    if plan.state is not PlanState.DRAFT:
        over = proposal_of(plan).over
        is_first = plan.assessment.infusion_id == infusion_id
        if is_first and any(b.ref not in over for b in _severe_blocks(plan.assessment)):
            _ask_to_look(plan.assessment, site_id=plan.site_id, now=now)
        return
    assessment = queries.newest_assessment(plan.assessment.infusion_id) or plan.assessment
    if blocks_of(plan):
        _ask_to_look(assessment, site_id=plan.site_id, now=now)
    else:
        tasks.close_by_event(
            LOOK_FIRST,
            f"assessment:{assessment.id}",
            "nothing is in the way any more",
            actor=actor,
            now=now,
        )


def _severe() -> int:
    """Return from which severity on the active protocol calls a side effect severe."""
    row = library.find_active()
    return library.table_of(row).severe_from_severity if row is not None else SEVERE


def _severe_blocks(assessment: Assessment) -> list[Block]:
    # What was written into the record after the chat counts as well.
    least = _severe()
    severe = [
        Block(f"side-effect:{line.id}", SEVERE_WORDS)
        for line in treatment.lines(assessment.infusion_id)
        if line.kind is EventKind.SIDE_EFFECT and line.data["severity"] >= least
    ]
    if not severe and assessment.worst_severity >= least:  # struck since; nobody talked again
        severe = [Block(f"severity:{assessment.id}", SEVERE_WORDS)]
    return severe


def _mood_blocks(assessment: Assessment) -> list[Block]:
    if not assessment.phq9_item9:
        return []
    return [Block(f"phq9-item9:{assessment.id}", ITEM_9_WORDS)]


def _clearance_blocks(patient: Patient) -> list[Block]:
    standing = clearance.current(patient)
    if standing.signed is None or standing.holds:
        return []
    if standing.signed.decision is Decision.NOT_CLEARED or not standing.changed:
        is_refused = standing.signed.decision is Decision.NOT_CLEARED
        words = REFUSED_WORDS if is_refused else "The clearance does not hold any more."
        return [Block(f"clearance:{standing.signed.id}", words)]
    return [
        Block(
            f"screening:{standing.entries[item].id}",
            f"{CHANGED_WORDS} {clearance.item_words(item)}.",
        )
        for item in standing.changed
    ]


def _ask_to_look(assessment: Assessment, *, site_id: int, now: datetime) -> None:
    tasks.open_task(
        LOOK_FIRST,
        f"assessment:{assessment.id}",
        now=now,
        patient_id=assessment.patient_id,
        site_id=site_id,
    )


def _settle_pencils(owed: FollowUp, plan: Plan, *, actor: str, now: datetime) -> Settled | None:
    proposal = proposal_of(plan)
    return pencils.settle(
        owed,
        windows_of(plan, now=now) if proposal.act is Act.SERIES else [],
        recovery_minutes=max((p.recovery_minutes for p in proposal.phases), default=0),
        home_site_id=plan.site_id,
        actor=actor,
        now=now,
    )


def propose(
    assessment: Assessment, *, override: Override | None = None, actor: str, now: datetime
) -> Plan:
    """Draft a plan from an assessment, by the active protocol. A draft entitles to nothing.

    Args:
        override: A clinician who has looked at what blocks it, and says why it may be drafted.

    Raises:
        DraftBlocked: something blocks it, and nobody overrides.
        NoProtocol: no protocol is active.
        WrongPlanState: the patient has a signed plan already.
    """
    found = blocks(assessment)
    if found and override is None:
        raise DraftBlocked(
            "A clinician must look before a plan is drafted.", [block.words for block in found]
        )
    if override is not None:
        safety.check_override(override)
    patient = db.session.get_one(Patient, assessment.patient_id)
    lock([patient.resource_id])
    row = library.active()
    proposal = replace(
        rules.assess(inputs_of(assessment), library.table_of(row)),
        over=tuple(block.ref for block in found),
    )
    infusion = db.session.get_one(Appointment, assessment.infusion_id)
    plan = _open_plan(patient.id)
    if plan is not None and plan.state is not PlanState.DRAFT:
        raise WrongPlanState("There is a signed plan already. End it first, or change it.")
    if plan is None:
        plan = Plan(
            public_id=public_id(),
            patient_id=patient.id,
            site_id=patient.home_site_id or infusion.site_id,
            assessment_id=assessment.id,
            protocol_id=row.id,
            state=PlanState.DRAFT,
            changed_at=now,
            changed_by=actor,
            change="proposed",
        )
        db.session.add(plan)
        db.session.flush()
    else:
        touch(plan, "proposed anew", actor=actor, now=now)
        plan.assessment_id, plan.protocol_id = assessment.id, row.id
    override_by = f"staff:{override.staff.id}" if override else actor
    # The version is by who answers for it, and that is the clinician who overrode.
    add_version(
        plan, proposal, override.reason.strip() if override else None, actor=override_by, now=now
    )
    note(plan, "plan.proposed", actor=actor, now=now, row=proposal.row_id)
    if override is not None:
        note(
            plan,
            "safety.draft-override",
            actor=override_by,
            now=now,
            over=list(proposal.over),
            asked_by=actor,
        )
    tasks.close_by_event(
        LOOK_FIRST,
        f"assessment:{assessment.id}",
        "drafted",
        actor=override_by,
        now=now,
    )
    return plan


def proposal_of(plan: Plan) -> Proposal:
    """Return what the plan's newest version says."""
    return rules.restored(plan.current.proposal)


def windows_of(plan: Plan, *, now: datetime) -> list[Window]:
    """Return the windows the visits of a draft would have if it were signed today."""
    proposal = proposal_of(plan)
    site = clinic_supply.current().sites[plan.site_id]
    last = _last_infusion(plan)
    return rules.windows(
        proposal.phases,
        last_infusion_on=last.starts_at.astimezone(last.site.zone).date(),
        today=now.astimezone(site.zone).date(),
        zone=site.zone,
        usual=last.starts_at.astimezone(last.site.zone).time(),
    )


def approve(plan: Plan, signer: Staff, *, version: int, now: datetime) -> Plan:
    """Sign a draft as it is. The door has asked the signer's password again.

    A series gets its visits, to be placed; a plan to stop or refer is thereby complete.

    Raises:
        MayNotSign: the signer is no clinician.
        PlanOvertaken: somebody signed or changed it since version `version` was read; says who.
        WrongPlanState: it says that a review is needed: a clinician changes or declines it.
        DraftBlocked: something came to light since it was drafted.
    """
    _ready_to_sign(plan, signer, version=version, now=now)
    proposal = proposal_of(plan)
    if proposal.act is Act.REVIEW:
        raise WrongPlanState("The protocol leaves this to you: change the plan, or decline it.")
    _refuse_blocked(plan)
    return _sign(plan, signer, Verdict.APPROVED, None, now=now)


def change(
    plan: Plan,
    signer: Staff,
    *,
    act: Act,
    phases: Sequence[Phase],
    reason: str,
    version: int,
    now: datetime,
) -> Plan:
    """Sign a draft with changes, as a new version with its reason.

    Raises:
        Invalid: no reason, or the phases make no sense or are closer than the protocol allows.
        MayNotSign, PlanOvertaken, DraftBlocked: as for `approve`.
    """
    _ready_to_sign(plan, signer, version=version, now=now)
    words = _said(reason)
    before = proposal_of(plan)
    _check_phases(act, phases, before.min_hours_between)
    _check_length(phases)
    _refuse_blocked(plan)
    changed = replace(before, act=act, phases=tuple(phases))
    if (act, changed.phases) != (before.act, before.phases):
        changed = replace(changed, say=rules.said_of(act, phases))
    add_version(plan, changed, words, actor=f"staff:{signer.id}", now=now)
    return _sign(plan, signer, Verdict.CHANGED, words, now=now)


def decline(plan: Plan, signer: Staff, *, reason: str, version: int, now: datetime) -> Plan:
    """Sign that this plan is not to be.

    Raises:
        Invalid: no reason.
        MayNotSign, PlanOvertaken: as for `approve`.
    """
    _ready_to_sign(plan, signer, version=version, now=now)
    return _sign(plan, signer, Verdict.DECLINED, _said(reason), now=now)


def _assess(
    owed: FollowUp,
    *,
    baseline: int,
    score: int,
    relief_days: int,
    relief_holds: bool,
    condition: Pain,
    impression: Impression,
    peg_before: Sequence[int] | None,
    peg_since: Sequence[int] | None,
    phq9: int | None,
    phq9_item9: int | None,
    goals: str | None,
    note: str | None,
    actor: str,
    now: datetime,
) -> Assessment:
    for name, value in (("baseline", baseline), ("score", score)):
        if not 0 <= value <= 10:
            raise Invalid("The score is a number from 0 to 10.", field=name)
    for name, items in (("peg_before", peg_before), ("peg_since", peg_since)):
        if items is not None and (len(items) != 3 or not all(0 <= i <= 10 for i in items)):
            raise Invalid("Each of the three is a number from 0 to 10.", field=name)
    if phq9 is not None and not 0 <= phq9 <= 27:
        raise Invalid("A PHQ-9 comes to 0 to 27.", field="phq9")
    if phq9_item9 is not None and not 0 <= phq9_item9 <= 3:
        raise Invalid("A question of the PHQ-9 is answered with 0 to 3.", field="phq9_item9")
    if phq9 is not None and phq9 < (phq9_item9 or 0):
        raise Invalid("The sum is less than the last question alone.", field="phq9")
    if not 0 <= relief_days <= 366:
        raise Invalid("Enter for how many days, 0 or more.", field="relief_days")
    if owed.infusion.status is not Status.FULFILLED:
        raise Invalid("The first infusion has not been completed yet.")
    row = Assessment(
        patient_id=owed.patient_id,
        infusion_id=owed.infusion_id,
        chat_id=owed.chat_id,
        baseline=baseline,
        score=score,
        relief_days=relief_days,
        relief_holds=relief_holds,
        condition=condition,
        worst_severity=treatment.worst_severity(owed.infusion_id),
        impression=impression,
        peg_before=_as_list(peg_before),
        peg_since=_as_list(peg_since),
        phq9=phq9,
        phq9_item9=phq9_item9,
        goals=goals or None,
        note=note or None,
        recorded_by=actor,
        recorded_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        "assessment.recorded",
        f"assessment:{row.id}",
        actor=actor,
        now=now,
        patient_id=row.patient_id,
    )
    return row


def _ready_to_sign(plan: Plan, signer: Staff, *, version: int, now: datetime) -> None:
    _may_sign(signer)
    _lock_plan(plan, version=version)
    if plan.state is not PlanState.DRAFT or plan.current.signature is not None:
        raise PlanOvertaken(_who(plan))


def _lock_plan(plan: Plan, *, version: int) -> None:
    """Take all the plan's visits may need, then its row; whoever came first has it."""
    sites = clinic_supply.current().sites.values()
    lock(everything_at(sites, plan.patient.resource_id))
    db.session.refresh(plan, with_for_update={"of": Plan})
    db.session.expire(plan, ["versions", "visits"])
    if plan.version != version:
        raise PlanOvertaken(_who(plan))


def _who(plan: Plan) -> str:
    return (
        f"{book_queries.actor_name(plan.changed_by)} {plan.change} this plan while you had it "
        "open. Here is how it stands now."
    )


def _may_sign(signer: Staff) -> None:
    if not may(signer.role, Right.APPROVE_PLAN):
        raise MayNotSign("Only a clinician signs a plan.")


def _said(reason: str) -> str:
    if not reason.strip():
        raise Invalid("Please say why.", field="reason")
    return reason.strip()


def _refuse_blocked(plan: Plan) -> None:
    """What came to light after the draft blocks its signature; what it was drafted over does not.

    A draft drawn up over blocks names each of them, so that another one found later counts.
    """
    refuse_gone(plan.patient)
    found = blocks_of(plan)
    if found:
        raise DraftBlocked("A clinician must look at this first.", [block.words for block in found])


def _sign(
    plan: Plan, signer: Staff, verdict: Verdict, reason: str | None, *, now: datetime
) -> Plan:
    actor = f"staff:{signer.id}"
    try:
        with db.session.begin_nested():
            db.session.add(
                PlanSignature(
                    plan_version_id=plan.current.id,
                    verdict=verdict,
                    reason=reason,
                    signed_by_id=signer.id,
                    signed_at=now,
                )
            )
    except IntegrityError as clash:
        raise PlanOvertaken("Somebody signed this plan while you had it open.") from clash
    db.session.expire(plan, ["versions"])
    proposal = proposal_of(plan)
    if verdict is Verdict.DECLINED:
        plan.state = PlanState.DECLINED
        pencils.release(_owed_of(plan), actor=actor, now=now)
    elif proposal.act is Act.SERIES:
        plan.state = PlanState(verdict.value)
        _plan_visits(plan, proposal, now=now)
    else:
        plan.state = PlanState.COMPLETED
        pencils.release(_owed_of(plan), actor=actor, now=now)
    touch(plan, verdict.value, actor=actor, now=now)
    note(plan, f"plan.{verdict.value}", actor=actor, now=now, act=proposal.act.value)
    return plan


def _plan_visits(plan: Plan, proposal: Proposal, *, now: datetime) -> None:
    planned = windows_of(plan, now=now)
    for window in planned:
        db.session.add(
            PlannedVisit(
                plan_id=plan.id,
                number=window.number,
                phase=window.phase,
                state=VisitState.TO_PLACE,
                earliest=window.earliest,
                ideal=window.ideal,
                latest=window.latest,
                min_days=window.min_days,
                max_days=window.max_days,
            )
        )
    zone = ZoneInfo(clinic_supply.current().sites[plan.site_id].zone.key)
    plan.review_on = rules.review_on(proposal.phases, planned, zone)
    db.session.flush()
    db.session.expire(plan, ["visits"])


def _check_phases(act: Act, phases: Sequence[Phase], min_hours: int) -> None:
    if act is Act.REVIEW:
        raise Invalid("Choose a series, to stop, or to refer.", field="act")
    if (act is Act.SERIES) != bool(phases):
        raise Invalid("A series has visits, and nothing else has.", field="phases")
    for phase in phases:
        if not 1 <= phase.count <= 52:
            raise Invalid("Plan between 1 and 52 visits.", field="count")
        if not 1 <= phase.min_days <= phase.target_days <= phase.max_days <= 365:
            raise Invalid("The days between go from least to most.", field="target_days")
        if not 0 <= phase.recovery_minutes <= 240:
            raise Invalid("Plan between 0 and 240 minutes of recovery.", field="recovery")
        if phase.reassess_after_days is not None and not 1 <= phase.reassess_after_days <= 365:
            raise Invalid("Look again within a year.", field="after")
        if phase.min_days * 24 < min_hours:
            raise Invalid(
                f"The protocol asks for at least {min_hours} hours between.", field="min_days"
            )


def _check_length(phases: Sequence[Phase]) -> None:
    """Refuse a course that nobody can look over."""
    if sum(p.count for p in rules.until_review(phases)) > 52:
        raise Invalid("Plan between 1 and 52 visits.", field="count")
    if sum(p.count * p.max_days for p in rules.until_review(phases)) > MOST_DAYS:
        raise Invalid("Plan at most two years before the next look.", field="count")


def add_version(
    plan: Plan, proposal: Proposal, reason: str | None, *, actor: str, now: datetime
) -> PlanVersion:
    """Append a version to a plan: what it says from now on, and why."""
    newest = db.session.scalar(
        select(PlanVersion.number)
        .where(PlanVersion.plan_id == plan.id)
        .order_by(PlanVersion.number.desc())
        .limit(1)
    )
    row = PlanVersion(
        plan_id=plan.id,
        number=(newest or 0) + 1,
        proposal=proposal.as_data(),
        reason=reason,
        made_by=actor,
        made_at=now,
    )
    db.session.add(row)
    db.session.flush()
    db.session.expire(plan, ["versions"])
    return row


def _open_plan(patient_id: int) -> Plan | None:
    return db.session.scalar(
        select(Plan)
        .where(Plan.patient_id == patient_id, Plan.state.in_(OPEN))
        .with_for_update(of=Plan)
    )


def _owed_of(plan: Plan) -> FollowUp | None:
    return followups.find_for_infusion(plan.assessment.infusion_id)


def _last_infusion(plan: Plan) -> Appointment:
    return db.session.get_one(Appointment, plan.assessment.infusion_id)


def touch(plan: Plan, what: str, *, actor: str, now: datetime) -> None:
    """Count a change of the plan, with who made it and what it was."""
    plan.version += 1
    plan.changed_at, plan.changed_by, plan.change = now, actor, what
    db.session.flush()


def note(plan: Plan, action: str, *, actor: str, now: datetime, **detail: object) -> None:
    """Write a deed on the plan into the record."""
    audit.record(
        action,
        plan.topic,
        actor=actor,
        now=now,
        patient_id=plan.patient_id,
        plan_version=plan.current.number,
        **detail,
    )
