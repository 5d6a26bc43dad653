"""Verbs of the chair: what staff write down during an infusion. Lines are added, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act, may
from scheduler.audit import service as audit
from scheduler.booking import notices, overruns
from scheduler.booking import service as booking
from scheduler.booking.allocation import everything_at, lock
from scheduler.booking.models import Appointment, Authority, Status
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ResourceSkill, ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.messaging import consent, outbox
from scheduler.tasks import service as tasks
from scheduler.treatment import clearance, queries, rules, vocabulary
from scheduler.treatment.errors import MayNotSign, NotInOrder, NotReady
from scheduler.treatment.models import ONCE, Answer, EventKind, SessionEvent

#: The task to call them the day after; its topic is the appointment's.
CALL_AFTER = "call-after"
LONGEST_BACKDATE = timedelta(hours=24)
#: The same line from the same hands so soon after is a button pressed twice.
ONE_PRESS = timedelta(seconds=5)
#: Plausible readings; outside of them a figure was mistyped.
VITALS: dict[str, tuple[int, int]] = {
    "systolic": (40, 300),
    "diastolic": (20, 200),
    "pulse": (20, 250),
    "breaths": (4, 60),
    "oxygen": (50, 100),
}


@dataclass(frozen=True)
class Override:
    """A clinician's word that something may be done although a rule says no."""

    staff: Staff
    reason: str


def note_readiness(
    appointment: Appointment,
    item: str,
    *,
    is_met: bool,
    who: Staff | None = None,
    note: str | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record one answer of the readiness list; asking again counts.

    Args:
        who: The clinician who is on site, of that item.

    Raises:
        Invalid: not on the list, or nobody is named as on site, or nobody who is a clinician.
    """
    _known(item, vocabulary.READINESS, "item")
    data: dict[str, Any] = {"item": item, "is_met": is_met}
    if item == vocabulary.CLINICIAN and is_met:
        if who is None:
            raise Invalid("Choose who is on site.", field="on-site")
        if not may(who.role, Act.OVERRIDE_SAFETY):
            raise Invalid("Choose a clinician.", field="on-site")
        data["staff"] = who.id
    return _write(
        appointment,
        EventKind.READINESS,
        data,
        note=note,
        actor=actor,
        now=now,
    )


def note_comfort(
    appointment: Appointment,
    wishes: Mapping[str, bool],
    *,
    note: str | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record what makes them comfortable; `note` may name the playlist."""
    for item in wishes:
        _known(item, vocabulary.COMFORT, "comfort")
    return _write(appointment, EventKind.COMFORT, dict(wishes), note=note, actor=actor, now=now)


def note_score(
    appointment: Appointment,
    score: int,
    *,
    when: str,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record pain from 0 to 10: "baseline" before the start, "during", or "after"."""
    if not 0 <= score <= 10:
        raise Invalid("The score is a number from 0 to 10.", field="score")
    _known(when, ("baseline", "during", "after"), "when")
    started = rules.first(queries.lines(appointment.id), EventKind.START)
    if when != "baseline" and started is None:
        raise NotInOrder("The infusion has not started yet.")
    if when == "baseline" and started is not None:
        raise NotInOrder("The infusion has started: amend the score that was recorded before.")
    return _write(
        appointment, EventKind.SCORE, {"score": score, "when": when}, at=at, actor=actor, now=now
    )


def note_vitals(
    appointment: Appointment,
    readings: Mapping[str, int],
    *,
    awake: str | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record vital signs: any of systolic, diastolic, pulse, breaths, oxygen; how awake, if seen.

    Raises:
        Invalid: a figure that was mistyped, at its field.
    """
    check_vitals(readings)
    data: dict[str, Any] = dict(readings)
    if awake is not None:
        _known(awake, vocabulary.AWAKE, "awake")
        data["awake"] = awake
    return _write(appointment, EventKind.VITALS, data, at=at, actor=actor, now=now)


def check_vitals(readings: Mapping[str, int]) -> None:
    """Refuse figures that were mistyped.

    Raises:
        Invalid: there is none, or one that no living person has, at its field.
    """
    if not readings:
        raise Invalid("Enter at least one reading.", field="systolic")
    for name, value in readings.items():
        _known(name, VITALS, "systolic")
        low, high = VITALS[name]
        if not low <= value <= high:
            words = f"{vocabulary.VITALS[name]}: {value} is not likely. Please check it."
            raise Invalid(words, field=name)
    if readings.get("systolic", VITALS["systolic"][1]) <= readings.get("diastolic", 0):
        raise Invalid("The upper pressure is above the lower one.", field="systolic")


def in_the_way_of_start(appointment: Appointment, *, now: datetime) -> list[str]:
    """Return, in words, what keeps an infusion from being started; empty when nothing does.

    What was answered or measured on another day says nothing of today.
    """
    lines = queries.lines_of_day(appointment, now)
    words = [f"Not ready: {vocabulary.READINESS[item]}" for item in rules.unready(lines)]
    if rules.score(lines, "baseline") is None:
        words.append("No pain score before the start")
    if not any(line.kind is EventKind.VITALS for line in lines):
        words.append("No vital signs before the start")
    return [*words, *_safety(appointment), *_old_consent(appointment)]


def start(
    appointment: Appointment,
    *,
    override: Override | None = None,
    also_missing: Sequence[str] = (),
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Start the infusion: the clock runs. Checks the patient in when nobody has.

    Args:
        override: A clinician's word, with a reason, when something is in the way.
        also_missing: What the rooms above found in the way, in words.

    Raises:
        NotReady: readiness, score, vitals or clearance are not as they must be; says which.
        MayNotSign: the override is no clinician's.
        NotInOrder: it is no infusion, it is over, it was started before, or it is another day's.
    """
    lock([appointment.patient.resource_id])  # nobody changes an answer meanwhile
    _hold(appointment)
    if appointment.authority is None:
        raise NotInOrder("Only an infusion that somebody may have can be started.")
    lines = queries.lines(appointment.id)
    if rules.first(lines, EventKind.START) is not None:
        raise NotInOrder("This infusion was started already.")
    _of_its_day(appointment, at or now)
    missing = [*also_missing, *in_the_way_of_start(appointment, now=at or now)]
    _unless(override, missing, "This infusion cannot be started yet.")
    if appointment.status is Status.BOOKED:
        booking.arrive(appointment, actor=actor, now=now)
    elif appointment.status is not Status.ARRIVED:
        raise NotInOrder("This visit is over or was called off.")
    return _write(
        appointment,
        EventKind.START,
        {"overridden": missing} if missing else {},
        at=at,
        override=override if missing else None,
        actor=actor,
        now=now,
    )


def note_dose(
    appointment: Appointment,
    amount: str,
    unit: str,
    *,
    change: str = "set",
    note: str | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record a dose or rate as staff set it, in their own figures. Nothing here proposes one.

    Args:
        change: What was done, of `vocabulary.DOSE_CHANGES`; a pause needs no figures.

    Raises:
        Invalid: no figures, or not on the list.
        NotInOrder: the infusion has not started.
    """
    _known(change, vocabulary.DOSE_CHANGES, "change")
    amount, unit = amount.strip(), unit.strip()
    if change == "paused":
        amount = unit = ""
    elif not amount or not unit:
        raise Invalid(
            "Enter the amount and its unit, as you set it.", field="unit" if amount else "amount"
        )
    _running(appointment)
    return _write(
        appointment,
        EventKind.DOSE,
        {"amount": amount, "unit": unit, "change": change},
        note=note,
        at=at,
        actor=actor,
        now=now,
    )


def note_rescue(
    appointment: Appointment,
    medicine: str,
    amount: str,
    *,
    against: str,
    note: str | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record a medicine given against a side effect, as staff gave it. Nothing proposes one.

    Raises:
        Invalid: no medicine, no amount, or what it was given against is not on the list.
        NotInOrder: the infusion has not started.
    """
    if not medicine.strip():
        raise Invalid("Enter the medicine.", field="medicine")
    if not amount.strip():
        raise Invalid("Enter how much, with its unit.", field="given")
    _known(against, vocabulary.SIDE_EFFECTS, "against")
    _running(appointment)
    return _write(
        appointment,
        EventKind.DOSE,
        {
            "change": vocabulary.RESCUE,
            "medicine": medicine.strip(),
            "amount": amount.strip(),
            "for": against,
        },
        note=note,
        at=at,
        actor=actor,
        now=now,
    )


def note_side_effect(
    appointment: Appointment,
    effect: str,
    severity: int,
    *,
    action: str,
    note: str | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record a side effect with when it came, how bad it was (1 to 3), and what was done.

    Raises:
        Invalid: not on the list; "other" without words.
        NotInOrder: the infusion has not started.
    """
    _known(effect, vocabulary.SIDE_EFFECTS, "effect")
    _known(severity, vocabulary.SEVERITIES, "severity")
    _known(action, vocabulary.ACTIONS, "action")
    if effect == "other" and not (note or "").strip():
        raise Invalid("Please say what it was.", field="note")
    _running(appointment)
    return _write(
        appointment,
        EventKind.SIDE_EFFECT,
        {"effect": effect, "severity": severity, "action": action},
        note=note,
        at=at,
        actor=actor,
        now=now,
    )


def end(
    appointment: Appointment,
    reason: str,
    *,
    note: str | None = None,
    at: datetime | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Stop the drip, complete or for another reason of the list; recovery begins.

    Raises:
        NotInOrder: it does not run.
    """
    _known(reason, vocabulary.ENDINGS, "reason")
    if reason == "other" and not (note or "").strip():
        raise Invalid("Please say why it was stopped.", field="note")
    _hold(appointment)
    lines = _running(appointment)
    if rules.first(lines, EventKind.END) is not None:
        raise NotInOrder("The infusion has ended already.")
    started = rules.first(lines, EventKind.START)
    assert started is not None
    if (at or now) < started.at:
        raise Invalid("It cannot end before it began.", field="at")
    return _write(
        appointment, EventKind.END, {"reason": reason}, note=note, at=at, actor=actor, now=now
    )


def note_discharge(
    appointment: Appointment,
    item: str,
    points: int,
    *,
    note: str | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    """Record the points, 0 to 2, of one item of going home; looking again counts."""
    _known(item, vocabulary.DISCHARGE, "item")
    _known(points, range(vocabulary.MOST_POINTS + 1), f"met-{item}")
    if rules.first(queries.lines(appointment.id), EventKind.END) is None:
        raise NotInOrder("The infusion has not ended yet.")
    return _write(
        appointment,
        EventKind.DISCHARGE,
        {"item": item, "points": points},
        note=note,
        actor=actor,
        now=now,
    )


def sign_safe(
    appointment: Appointment,
    signer: Staff,
    *,
    escort: bool,
    override: Override | None = None,
    now: datetime,
) -> SessionEvent:
    """Sign that the patient may go home; give back the time no longer needed; ask for a call.

    Raises:
        MayNotSign: the signer has no right or skill for it, or the override is no clinician's.
        NotReady: the score, the last vital signs or the escort are not as the site asks, and
            nobody overrides it.
        NotInOrder: the infusion has not ended, or this was signed before.
    """
    if not may_release(signer):
        raise MayNotSign("Only a nurse or a clinician with the skill signs this.")
    site = clinic_supply.current().sites[appointment.site_id]
    lock(everything_at([site], appointment.patient.resource_id))
    _hold(appointment)
    lines = queries.lines(appointment.id)
    if rules.first(lines, EventKind.END) is None:
        raise NotInOrder("The infusion has not ended yet.")
    if rules.first(lines, EventKind.SAFE) is not None:
        raise NotInOrder("This was signed already.")
    missing = [
        f"{c.words}: {c.found}" for c in rules.going_home(lines, limits(site)) if not c.is_met
    ]
    if not escort:
        missing.append("Nobody is here to take them home")
    _unless(override, missing, "They cannot go home yet.")
    signed = _write(
        appointment,
        EventKind.SAFE,
        {"escort": escort, "unmet": missing},
        override=override if missing else None,
        signer=signer,
        actor=f"staff:{signer.id}",
        now=now,
    )
    overruns.shorten(
        appointment,
        person_until=now,
        chair_until=now + timedelta(minutes=site.settings.turnover_minutes),
        now=now,
    )
    tasks.open_task(
        CALL_AFTER,
        appointment.topic,
        patient_id=appointment.patient_id,
        site_id=appointment.site_id,
        due_at=now + timedelta(hours=site.settings.call_after_hours),
        now=now,
    )
    return signed


def limits(site: SiteSupply) -> rules.Limits:
    """Return what a site asks for before somebody goes home."""
    return rules.Limits(
        score_least=site.settings.discharge_score_least,
        pressure_percent=site.settings.discharge_pressure_percent,
        oxygen_least=site.settings.discharge_oxygen_least,
    )


def note_handout(appointment: Appointment, how: str, *, actor: str, now: datetime) -> SessionEvent:
    """Record that the words to take home were given; as a link, send it.

    Raises:
        Invalid: not on the list, or a link for somebody who may not be texted.
        NotInOrder: the infusion has not ended, so there is nothing to take home yet.
    """
    _known(how, vocabulary.HANDOUTS, "how")
    if rules.first(queries.lines(appointment.id), EventKind.END) is None:
        raise NotInOrder("The infusion has not ended yet.")
    if how == "link" and not consent.may_text(appointment.patient, now=now):
        raise Invalid("They may not be texted. Please print it.", field="how")
    given = _write(appointment, EventKind.HANDOUT, {"how": how}, actor=actor, now=now)
    if how == "link":
        outbox.put([notices.way_home(appointment, given.id, now=now)], now=now)
    return given


def note(appointment: Appointment, words: str, *, actor: str, now: datetime) -> SessionEvent:
    """Add free words to the record; they are stored sealed."""
    if not words.strip():
        raise Invalid("The note is empty.", field="note")
    return _write(appointment, EventKind.NOTE, {}, note=words.strip(), actor=actor, now=now)


def complete(
    appointment: Appointment,
    *,
    actor: str,
    now: datetime,
    version: int | None = None,
    on_paper: bool = False,
) -> Appointment:
    """Close a visit in the book: the patient has left. A session that began must be signed safe.

    Args:
        on_paper: The session was recorded on paper (the network was down), so it is not here.

    Raises:
        NotInOrder: an infusion was started and nobody signed that they are safe to go; or none
            was started; or the visit is on a day to come.
    """
    zone = appointment.site.zone
    if appointment.starts_at.astimezone(zone).date() > now.astimezone(zone).date():
        raise NotInOrder("It is booked for a day to come, so it has not taken place.")
    lines = queries.lines(appointment.id)
    if rules.first(lines, EventKind.START) is None and appointment.authority is not None:
        if not on_paper:
            raise NotInOrder("No infusion was recorded. If they did not come, say so instead.")
        audit.record(
            "visit.on-paper",
            appointment.topic,
            actor=actor,
            now=now,
            patient_id=appointment.patient_id,
        )
    if rules.first(lines, EventKind.START) is not None:
        if rules.first(lines, EventKind.SAFE) is None:
            raise NotInOrder("Nobody has signed yet that they are safe to go home.")
        if rules.first(lines, EventKind.GONE) is None:
            _write(appointment, EventKind.GONE, {}, actor=actor, now=now)
    done = booking.fulfil(appointment, actor=actor, now=now, version=version)
    if rules.first(lines, EventKind.SAFE) is None:  # who was signed safe gave it back then
        overruns.give_back(done, until=now)
    return done


def refuse_if_started(appointment: Appointment) -> None:
    """Refuse to call off what is already happening.

    Raises:
        NotInOrder: the infusion was started.
    """
    if rules.first(queries.lines(appointment.id), EventKind.START) is not None:
        raise NotInOrder("The infusion was started, so this visit can only be completed.")


def amend(
    event_id: int,
    *,
    reason: str,
    data: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    note: str | None = None,
    strike: bool = False,
    signer: Staff,
    now: datetime,
) -> SessionEvent:
    """Put a line right, signed and with a reason: the old one stays to be read.

    Args:
        data: What it should say; None leaves it.
        strike: It should not be there at all.

    Raises:
        Invalid: no reason, or there is no such line.
        MayNotSign: the signer does not record sessions.
        NotInOrder: safe-to-go cannot be amended into being: it is struck, then signed anew.
    """
    if not may(signer.role, Act.RECORD_SESSION):
        raise MayNotSign("Only a nurse or a clinician amends a record.")
    if not reason.strip():
        raise Invalid("Please say why it is put right.", field="reason")
    found = db.session.get(SessionEvent, event_id)
    if found is None:
        raise Invalid("There is no such line.")
    root = db.session.get_one(SessionEvent, found.amends_id) if found.amends_id else found
    if root.kind is EventKind.SAFE and not strike:
        raise NotInOrder("A signature cannot be reworded: strike it, and sign anew.")
    appointment = db.session.get_one(Appointment, root.appointment_id)
    _hold(appointment)
    stands = next(
        (e for e in reversed(queries.events(root.appointment_id)) if e.amends_id == root.id), root
    )
    moment = _near(at, stands.at, now) if at else stands.at
    _keep_order(queries.lines(root.appointment_id), root, None if strike else moment)
    row = SessionEvent(
        appointment_id=root.appointment_id,
        kind=root.kind,
        at=moment,
        data=dict(stands.data if data is None else data),
        note=stands.note if note is None else note,
        amends_id=root.id,
        is_struck=strike,
        reason=reason.strip(),
        signed_by_id=signer.id,
        recorded_by=f"staff:{signer.id}",
        recorded_at=now,
    )
    return _add(appointment, row, now=now)


def may_release(staff: Staff) -> bool:
    """Say whether somebody may sign that a patient is safe to go home."""
    if not may(staff.role, Act.RECORD_SESSION):
        return False
    if may(staff.role, Act.OVERRIDE_SAFETY):
        return True
    skills = db.session.scalars(
        select(ResourceSkill.skill).where(ResourceSkill.resource_id == staff.resource_id)
    )
    return not vocabulary.SAFE_SKILLS.isdisjoint(skills)


def looks_due(site_id: int, *, now: datetime) -> list[tuple[Appointment, datetime]]:
    """Return who is in a chair of a site, each with when their vital signs are due, in order."""
    here = [a for a in running(now=now) if a.site_id == site_id]
    site = clinic_supply.current().sites[site_id]
    counted = queries.lines_of(here)
    found = [
        (a, due) for a in here if (due := queries.next_observation(site, counted[a.id])) is not None
    ]
    return sorted(found, key=lambda look: (look[1], look[0].id))


def _safety(appointment: Appointment) -> list[str]:
    """Return what speaks against an infusion by the newest screening."""
    standing = clearance.current(appointment.patient)
    if standing.signed is not None or appointment.authority is Authority.CLEARANCE:
        if standing.holds:
            return []
        if standing.changed:
            return ["An answer changed since the clearance was signed", *standing.missing]
        return ["There is no clearance that holds", *standing.missing]
    # A course begun before it was kept here: no screening to hold it to but what is known.
    return [
        f"{words}: {said.value}"
        for item, words in vocabulary.CONTRAINDICATIONS.items()
        if (said := standing.answer(item)) in (Answer.YES, Answer.UNKNOWN)
    ]


def _old_consent(appointment: Appointment) -> list[str]:
    """Return, in words, that what they signed is not the form that is now in use, if so."""
    signed = clearance.current(appointment.patient).entries.get(vocabulary.CONSENT)
    in_use = clinic_supply.current().sites[appointment.site_id].settings.consent_version
    if signed is None or signed.consent_version in (None, in_use):
        return []
    return [
        f"They signed version {signed.consent_version} of the consent, and {in_use} is in use now"
    ]


def _unless(override: Override | None, missing: Sequence[str], message: str) -> None:
    if not missing:
        return
    if override is None:
        raise NotReady(message, missing)
    if not may(override.staff.role, Act.OVERRIDE_SAFETY):
        raise MayNotSign("Only a clinician may decide that.")
    if not override.reason.strip():
        raise Invalid("Please say why.", field="reason")


def _of_its_day(appointment: Appointment, moment: datetime) -> None:
    """Refuse to run the clock of a visit that is booked for another day."""
    zone = appointment.site.zone
    booked, on = appointment.starts_at.astimezone(zone).date(), moment.astimezone(zone).date()
    if booked != on:
        raise NotInOrder(
            f"This visit is booked for {booked:%a, %b} {booked.day}. Move it to today first."
        )


def _running(appointment: Appointment) -> list[rules.Line]:
    lines = queries.lines(appointment.id)
    if rules.first(lines, EventKind.START) is None:
        raise NotInOrder("The infusion has not started yet.")
    return lines


def _known(value: object, known: Sequence[object] | Mapping[Any, Any], field: str) -> None:
    if value not in known:
        raise Invalid("Please choose one of the list.", field=field)


def _hold(appointment: Appointment) -> None:
    """Take the appointment's row, so that two hands do not write the same once-only line."""
    db.session.refresh(appointment, with_for_update={"of": Appointment})


def _moment(at: datetime | None, now: datetime) -> datetime:
    if at is None:
        return now
    if at > now or at < now - LONGEST_BACKDATE:
        raise Invalid("That time is ahead, or more than a day ago.", field="at")
    return at


def _near(at: datetime, stands: datetime, now: datetime) -> datetime:
    """Return an amended moment: however old the line is, it happened about then."""
    if at > now or abs(at - stands) > LONGEST_BACKDATE:
        raise Invalid("That time is ahead, or more than a day from what it says.", field="at")
    return at


def _keep_order(lines: Sequence[rules.Line], root: SessionEvent, moment: datetime | None) -> None:
    """Refuse an amendment after which an infusion would end before it began, or without it.

    Args:
        moment: When the amended line would have happened; None when it would be struck.
    """
    if root.kind.value not in ONCE:
        return
    if moment is None:
        later = ONCE[ONCE.index(root.kind.value) + 1 :]
        if any(line.kind.value in later for line in lines):
            raise NotInOrder("Something after it counts on it: strike that first.")
        return
    times = {line.kind.value: line.at for line in lines} | {root.kind.value: moment}
    in_order = [times[kind] for kind in ONCE if kind in times]
    if in_order != sorted(in_order):
        raise Invalid("Start, end, safe to go and leaving follow one another.", field="at")


def _write(
    appointment: Appointment,
    kind: EventKind,
    data: dict[str, Any],
    *,
    note: str | None = None,
    at: datetime | None = None,
    override: Override | None = None,
    signer: Staff | None = None,
    actor: str,
    now: datetime,
) -> SessionEvent:
    if appointment.service_code not in (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION):
        raise NotInOrder("Only an infusion has a record of the chair.")
    if appointment.status not in (Status.BOOKED, Status.ARRIVED, Status.FULFILLED):
        raise NotInOrder("This visit was called off.")
    signed_by = signer.id if signer else None
    if override is not None:
        data = {**data, "overridden_by": override.staff.id}
        signed_by = signed_by or override.staff.id
        audit.record(
            "safety.session-override",
            appointment.topic,
            actor=f"staff:{override.staff.id}",
            now=now,
            patient_id=appointment.patient_id,
            deed=kind.value,
            although=len(data.get("overridden") or data.get("unmet") or ()),
            asked_by=actor,
        )
    _hold(appointment)  # a second click waits for the first
    moment, words = _moment(at, now), (note or "").strip() or None
    again = _said_just_now(appointment.id, kind, data, words, moment, actor=actor, now=now)
    if again is not None:
        return again
    # What happens once and was struck out is written again as an amendment of the struck line.
    struck = _struck(appointment.id, kind) if kind.value in ONCE else None
    row = SessionEvent(
        appointment_id=appointment.id,
        kind=kind,
        at=moment,
        data=data,
        note=words,
        amends_id=struck.id if struck else None,
        is_struck=False,
        reason=override.reason.strip() if override else ("Written anew." if struck else None),
        signed_by_id=signed_by,
        recorded_by=actor,
        recorded_at=now,
    )
    return _add(appointment, row, now=now)


def _said_just_now(
    appointment_id: int,
    kind: EventKind,
    data: dict[str, Any],
    words: str | None,
    at: datetime,
    *,
    actor: str,
    now: datetime,
) -> SessionEvent | None:
    """Return the newest line of a kind when it is the one a button pressed twice would repeat."""
    newest = db.session.scalar(
        select(SessionEvent)
        .where(SessionEvent.appointment_id == appointment_id, SessionEvent.kind == kind)
        .order_by(SessionEvent.id.desc())
        .limit(1)
    )
    if newest is None or kind.value in ONCE or newest.amends_id is not None:
        return None
    is_same = (newest.data, newest.note, newest.recorded_by) == (data, words, actor)
    recent = now - newest.recorded_at < ONE_PRESS and abs(at - newest.at) < ONE_PRESS
    return newest if is_same and recent else None


def _add(appointment: Appointment, row: SessionEvent, *, now: datetime) -> SessionEvent:
    db.session.add(row)
    db.session.flush()
    audit.record(
        f"session.{'amended' if row.amends_id else row.kind.value}",
        appointment.topic,
        actor=row.recorded_by,
        now=now,
        patient_id=appointment.patient_id,
        event=row.id,
        signed_by=row.signed_by_id,
    )
    return row


def _struck(appointment_id: int, kind: EventKind) -> SessionEvent | None:
    """Return the first-written line of a kind that was struck out, when there is one."""
    written = [e for e in queries.events(appointment_id) if e.kind is kind]
    if not written or not written[-1].is_struck:
        return None
    return written[0]


def extend_overrun(appointment: Appointment, *, now: datetime) -> bool:
    """Let whoever is here keep chair and nurse as long as they are expected to need them.

    Locked before the record is read, so that a signature of safe-to-go is not overwritten.
    """
    site = clinic_supply.current().sites[appointment.site_id]
    lock(everything_at([site], appointment.patient.resource_id))
    release = queries.expected_release(appointment, now=now)
    if release is None or appointment.status is not Status.ARRIVED:
        return False
    return overruns.extend(
        appointment, person_until=release.person_at, chair_until=release.chair_at, now=now
    )


def running(*, now: datetime) -> list[Appointment]:
    """Return the visits of those who are here, and that nobody has closed, for the clock's job."""
    started = select(SessionEvent.appointment_id).where(
        SessionEvent.kind == EventKind.START, SessionEvent.at > now - timedelta(hours=12)
    )
    came = Appointment.arrived_at > now - timedelta(hours=12)
    return list(
        db.session.scalars(
            select(Appointment)
            .where(Appointment.status == Status.ARRIVED, or_(came, Appointment.id.in_(started)))
            .order_by(Appointment.id)
        )
    )
