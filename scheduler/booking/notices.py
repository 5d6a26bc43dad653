"""What patients are told about their appointments: the difference, not the act.

Each appointment keeps what its patient was last told, by channel. An act only asks for one
pending word per patient; when the worker comes to send it, the book is compared with what was
told, and no difference means nothing is sent. So a mis-drag that is undone reaches nobody, and
six bookings make one text (design decision 18).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.booking import queries, rules
from scheduler.booking.models import LIVE, Appointment, Authority, Status
from scheduler.calendars import links
from scheduler.calendars.documents import CalendarVisit, Method, document
from scheduler.calendars.documents import feed as calendar_feed
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.core.timespan import TimeSpan, instant
from scheduler.messaging import outbox
from scheduler.messaging.outbox import Word
from scheduler.messaging.rules import Drop, MessageView, Send, Verdict
from scheduler.messaging.states import Channel
from scheduler.patients.links import extend_links, mint_link
from scheduler.patients.models import Patient
from scheduler.tasks import queries as tasks

#: The word that waits for the worker; which one it becomes is decided when it is sent.
PENDING = "changed"


#: Beside what was told by a channel: what was told before, should that turn out undelivered.
_BEFORE = "-before"
#: What the patient knows, by whatever way they heard it: a text, a call, or their own act.
_KNOWN = "known"


@dataclass(frozen=True)
class Reminder:
    """A text some whole days before an appointment, at its own time of day."""

    template: str
    days_before: int
    holds: timedelta  # how long after its time it is of use; late is worse than never
    in_a_course: bool = True  # False: inside a course the text with all dates has said it


@dataclass(frozen=True)
class TextRules:
    """What is said of the appointments of one service. On the day itself only changes are."""

    kind: str  # the words it is said in: "visit", they come; "call", we ring them
    confirmed: bool  # when it is booked
    changed: bool  # when it is moved, called off, put back, or its site is shut then
    reminders: tuple[Reminder, ...]


_DAY_BEFORE = timedelta(hours=20)
_OF_A_CALL = TextRules(
    kind="call",
    confirmed=True,
    changed=True,
    reminders=(Reminder("call-tomorrow", 1, _DAY_BEFORE),),
)
_OF_A_VISIT = TextRules(
    kind="visit",
    confirmed=True,
    changed=True,
    reminders=(
        Reminder("visit-soon", 7, timedelta(days=2), in_a_course=False),
        Reminder("visit-prepare", 3, timedelta(hours=40)),
        Reminder("visit-tomorrow", 1, _DAY_BEFORE),
    ),
)

#: What patients are texted, by what they are booked for.
RULES: Mapping[ServiceCode, TextRules] = {
    ServiceCode.CALL: _OF_A_CALL,
    ServiceCode.CHAT: _OF_A_CALL,
    ServiceCode.FIRST_INFUSION: _OF_A_VISIT,
    ServiceCode.INFUSION: _OF_A_VISIT,
}

#: Words that may carry the questions to be answered before a visit.
_ASKS_FIRST = frozenset({"visit-prepare", "visit-tomorrow"})

#: A reminder this close behind the booking itself would only repeat it.
TOO_SOON = timedelta(hours=2)
LINK_LIVES_ON = timedelta(hours=24)
#: The text with the words to take home, and how long its link may be opened.
WAY_HOME = "visit-home"
SHEET_LIVES = timedelta(hours=72)
#: What is closed is said this long after, so that most hear their new time instead; and no earlier
#: than a week before.
_TIME_TO_REPLACE = timedelta(hours=2)
_WEEK = timedelta(days=7)

#: Says whether a patient still has something to answer before a visit.
AsksFirst = Callable[[Appointment], bool]


def is_call(appointment: Appointment) -> bool:
    """Say whether we call them, rather than they come to us."""
    return RULES[appointment.service_code].kind == "call"


def known_from_the_start(appointment: Appointment) -> dict[str, Any]:
    """Return what is noted of a new booking: they asked for it, or the desk says so."""
    return {_KNOWN: rules.facts(appointment)}


def after_booking(
    appointment: Appointment, *, actor: str, now: datetime, by_patient: bool, notify: bool
) -> None:
    """Queue what a new booking calls for: word of it, its calendar entry, its reminders."""
    words = _told_of(appointment, now=now, at_once=by_patient, notify=notify)
    outbox.put([*words, *_reminders(appointment, now=now)], now=now)


def after_change(appointment: Appointment, *, actor: str, now: datetime, notify: bool) -> None:
    """Queue what a move, a cancellation or its undo calls for; reminders follow the book."""
    outbox.withdraw(appointment.topic, now=now)
    extend_links(appointment.topic, expires_at=appointment.ends_at + LINK_LIVES_ON)
    words = _told_of(
        appointment, now=now, at_once=actor.startswith("patient"), notify=notify, is_new=False
    )
    if appointment.status is Status.BOOKED:
        words += _reminders(appointment, now=now)
    outbox.put(words, now=now)


def after_closing(appointment: Appointment, *, now: datetime) -> None:
    """Queue word that the site is shut at that time, for whoever has no new time by then."""
    rule = RULES[appointment.service_code]
    if not rule.changed:
        return
    delay = timedelta() if _is_soon(appointment, now=now) else _TIME_TO_REPLACE
    said_from = max(now + delay, appointment.starts_at - _WEEK)
    appointment.untold_from = said_from
    word = Word(
        template=f"{rule.kind}-closed",
        channel=Channel.SMS,
        patient=appointment.patient,
        facts={"sequence": appointment.sequence},
        topic=appointment.topic,
        dedupe_key=f"closed:{appointment.id}:{appointment.sequence}:{now.isoformat()}",
        send_after=said_from,
        expires_at=appointment.starts_at,
    )
    outbox.put([word], now=now)


def after_reopening(appointment: Appointment, *, now: datetime) -> None:
    """Queue what is to be said if the patient had heard that the site is shut then."""
    outbox.put(_told_of(appointment, now=now, at_once=False, notify=True, is_new=False), now=now)


def is_shut_out(appointment: Appointment) -> bool:
    """Say whether the site is closed then and the desk still looks for another time."""
    stay = TimeSpan(appointment.starts_at, appointment.ends_at)
    site = clinic_supply.current().sites[appointment.site_id]
    return any(shut.span.overlaps(stay) for shut in site.closures) and tasks.is_open(
        rules.RE_PLACE, appointment.topic
    )


def _is_soon(appointment: Appointment, *, now: datetime) -> bool:
    settings = clinic_supply.current().sites[appointment.site_id].settings
    return appointment.starts_at - now <= timedelta(hours=settings.change_at_once_within_hours)


def _told_of(
    appointment: Appointment,
    *,
    now: datetime,
    at_once: bool,
    notify: bool,
    is_new: bool = True,
) -> list[Word]:
    """Return what is to be asked for so that the patient hears of an act; what waits is asked."""
    patient = appointment.patient
    rule = RULES[appointment.service_code]
    if not (rule.confirmed if is_new else rule.changed):
        return []
    if not notify:
        appointment.told = dict.fromkeys((c.value for c in Channel), rules.facts(appointment))
        _note_known(appointment, rules.facts(appointment))
        return []
    settings = clinic_supply.current().sites[appointment.site_id].settings
    soon = _is_soon(appointment, now=now)
    delay = timedelta(minutes=0 if at_once or soon else settings.desk_change_delay_minutes)
    if not is_new and at_once:
        _note_known(appointment, rules.facts(appointment))
    elif not is_new:
        _note_untold(appointment, since=now + delay)
    difference = Word(
        template=PENDING,
        channel=Channel.SMS,
        patient=patient,
        facts={},
        topic=f"patient:{patient.id}",
        send_after=now + delay,
        expires_at=max(appointment.starts_at, now + timedelta(hours=1)),
        is_reply=at_once,
    )
    invitation = replace(
        difference, template="invite", channel=Channel.EMAIL, topic=f"invite:{appointment.id}"
    )
    words = [] if outbox.waits(difference, now=now) else [difference]
    if is_new or not outbox.waits(invitation, now=now):
        words.append(invitation)
    return words


def _reminders(appointment: Appointment, *, now: datetime) -> list[Word]:
    zone = ZoneInfo(appointment.zone_name)
    local = appointment.starts_at.astimezone(zone)
    words: list[Word] = []
    for rule in RULES[appointment.service_code].reminders:
        due = instant(local.date() - timedelta(days=rule.days_before), local.time(), zone)
        if due < now + TOO_SOON or not (rule.in_a_course or not _is_of_a_course(appointment)):
            continue
        words.append(
            Word(
                template=rule.template,
                channel=Channel.SMS,
                patient=appointment.patient,
                facts={"sequence": appointment.sequence},
                topic=appointment.topic,
                dedupe_key=f"{rule.template}:{appointment.id}:{appointment.sequence}",
                send_after=due,
                expires_at=min(appointment.starts_at, due + rule.holds),
            )
        )
    return words


def _is_of_a_course(appointment: Appointment) -> bool:
    """Say whether it was booked with an approved plan: one text told all its dates."""
    return appointment.authority is Authority.PLAN


def judge(
    message: MessageView,
    *,
    public_url: str,
    organizer: str,
    now: datetime,
    asks_first: AsksFirst = lambda appointment: False,
) -> Verdict:
    """Say what has become of a queued message: still true (with today's facts), or to be dropped.

    Called inside the claiming transaction, so a cancellation and a reminder cannot cross.
    """
    if message.template == PENDING:
        return _difference(message, public_url=public_url, now=now)
    if message.template == "invite":
        return _invitation(message, organizer=organizer, now=now)
    if message.template == WAY_HOME:
        return _way_home(message, public_url=public_url, now=now)
    if message.template.endswith("-closed"):
        return _closing(message, now=now)
    return _reminder(message, public_url=public_url, asks_first=asks_first, now=now)


def after_sent(message: MessageView, *, now: datetime) -> None:
    """Note on each appointment what its patient has now been told."""
    for number, told in dict(message.facts.get("memo") or {}).items():
        appointment = db.session.get(Appointment, int(number))
        if appointment is not None:
            known = appointment.told or {}
            channel = message.channel.value
            before = {channel + _BEFORE: known.get(channel)}
            if message.channel is Channel.SMS:
                before[_KNOWN + _BEFORE] = known.get(_KNOWN)
            appointment.told = {**known, **before, channel: told}
            if message.channel is Channel.SMS:
                _note_known(appointment, told)
    db.session.flush()


def note_heard(appointment: Appointment) -> None:
    """Note that the patient has heard, by a call, how an appointment stands."""
    _note_known(appointment, _stands(appointment))


def untold(appointment: Appointment) -> dict[str, Any] | None:
    """Return what the patient goes by, who is to be called about an appointment; None: nothing."""
    if appointment.untold_from is None:
        return None
    return (appointment.told or {}).get(_KNOWN) or {}


def _note_known(appointment: Appointment, facts: dict[str, Any]) -> None:
    appointment.told = {**(appointment.told or {}), _KNOWN: facts}
    if facts == _stands(appointment) or not rules.differs(facts, appointment):
        appointment.untold_from = None
    db.session.flush()


def _note_untold(appointment: Appointment, *, since: datetime) -> None:
    """Have somebody call about what has changed, from the first change on, unless it is undone."""
    if not rules.differs((appointment.told or {}).get(_KNOWN), appointment):
        appointment.untold_from = None
    elif appointment.untold_from is None or since < appointment.untold_from:
        appointment.untold_from = since
    db.session.flush()


def _stands(appointment: Appointment) -> dict[str, Any]:
    """Return what a patient can be told now: how it stands, or that the site is shut then."""
    shut = appointment.is_live and is_shut_out(appointment)
    return _closed(appointment) if shut else rules.facts(appointment)


def _closed(appointment: Appointment) -> dict[str, Any]:
    """What a patient knows who heard that the site is shut then: of no time at all.

    Whatever stands in the book later is a difference.
    """
    return rules.facts(appointment) | {"starts_at": None}


def _take_back(message: MessageView, *, now: datetime) -> None:
    """Let each appointment know again what its patient knew before a text that was not delivered.

    Where something else was told since, that stands.
    """
    channel = message.channel.value
    for number, unheard in dict(message.facts.get("memo") or {}).items():
        appointment = db.session.get(Appointment, int(number))
        known = dict(appointment.told or {}) if appointment is not None else {}
        if appointment is None or channel + _BEFORE not in known or known[channel] != unheard:
            continue
        known[channel] = known.pop(channel + _BEFORE)
        if known.get(_KNOWN) == unheard:
            known[_KNOWN] = known.pop(_KNOWN + _BEFORE, None)
        appointment.told = known
        _note_untold(appointment, since=now)
    db.session.flush()


def _difference(message: MessageView, *, public_url: str, now: datetime) -> Verdict:
    patient = db.session.get(Patient, message.patient_id)
    if patient is None:
        return Drop("the person is no longer on record")
    if message.facts.get("unheard"):
        _take_back(message, now=now)
    changed = [
        a
        for a in _around(patient.id, now=now)
        if rules.differs(_told(a, message), a) and not (a.is_live and is_shut_out(a))
    ]
    if not changed:
        return Drop("the patient knows this already")
    memo = {str(a.id): rules.facts(a) for a in changed}
    if len(changed) > 1:
        sent = _all_dates(patient, changed, memo=memo, public_url=public_url, now=now)
        return replace(sent, near=_nearest(changed, message, now=now))
    appointment = changed[0]
    told = _told(appointment, message)
    if not appointment.is_live:
        act = "cancelled"
    elif told is None:
        act = "booked"
    else:
        act = "moved" if told["live"] else "reinstated"
    return Send(
        facts=_facts(appointment),
        links=_link(appointment, public_url=public_url, now=now) if appointment.is_live else {},
        template=f"{_kind(appointment)}-{act}",
        topic=appointment.topic,
        memo=memo,
        near=_nearest(changed, message, now=now),
    )


def _nearest(
    changed: Sequence[Appointment], message: MessageView, *, now: datetime
) -> datetime | None:
    """Return the first moment a change is about: a time that stands now, or that they go by."""
    moments = [a.starts_at for a in changed if a.is_live]
    for appointment in changed:
        told = _told(appointment, message)
        if told and told["live"] and told["starts_at"]:
            moments.append(datetime.fromisoformat(told["starts_at"]))
    return min((moment for moment in moments if moment > now), default=None)


def _all_dates(
    patient: Patient,
    changed: Sequence[Appointment],
    *,
    memo: dict[str, Any],
    public_url: str,
    now: datetime,
) -> Send:
    """Several differences are one text with every date that now stands."""
    standing = [a for a in queries.upcoming(patient.id, now=now) if not is_shut_out(a)]
    sites = clinic_supply.current().sites
    site = sites[changed[0].site_id]
    if not standing:
        places = " & ".join(dict.fromkeys(sites[a.site_id].name for a in changed))
        return Send(
            facts={"phone": site.phone, "site": places}, template="all-cancelled", memo=memo
        )
    return Send(
        facts={
            "visits": json.dumps(
                [
                    [a.starts_at.isoformat(), a.zone_name, "" if is_call(a) else a.site.name]
                    for a in standing
                ]
            ),
            "phone": site.phone,
        },
        links=_link(standing[0], until=standing[-1], public_url=public_url, now=now),
        template="dates",
        memo=memo | {str(a.id): rules.facts(a) for a in standing},
    )


def _invitation(message: MessageView, *, organizer: str, now: datetime) -> Verdict:
    appointment = queries.by_topic(message.topic.replace("invite:", "appointment:"))
    if appointment is None:
        return Drop("the appointment is no longer on record")
    if not rules.differs(_told(appointment, message), appointment):
        return Drop("the patient's calendar has this already")
    method: Method = "REQUEST" if appointment.is_live else "CANCEL"
    return Send(
        facts=_facts(appointment),
        template="invite" if appointment.is_live else "invite-cancelled",
        attachment=calendar_file(
            appointment, method=method, organizer=organizer, now=now, attendee=message.recipient
        ),
        attachment_method=method,
        memo={str(appointment.id): rules.facts(appointment)},
    )


def _closing(message: MessageView, *, now: datetime) -> Verdict:
    appointment = _as_queued(message, now=now)
    if not isinstance(appointment, Appointment):
        return appointment
    if not is_shut_out(appointment):
        return Drop("it has its place again")
    return Send(
        facts=_facts(appointment),
        memo={str(appointment.id): _closed(appointment)},
        near=appointment.starts_at,
    )


def _reminder(
    message: MessageView, *, public_url: str, asks_first: AsksFirst, now: datetime
) -> Verdict:
    appointment = _as_queued(message, now=now)
    if not isinstance(appointment, Appointment):
        return appointment
    if is_shut_out(appointment):
        return Drop("the site is closed then")
    ways = _link(appointment, public_url=public_url, now=now)
    if message.template in _ASKS_FIRST and asks_first(appointment):
        ways["ready"] = f"{ways['link']}/ready"  # the same secret, opened on the questions
    return Send(facts=_facts(appointment), links=ways)


def _as_queued(message: MessageView, *, now: datetime) -> Appointment | Drop:
    """Return the appointment a message was queued about, if it stands as it did then."""
    appointment = queries.by_topic(message.topic)
    if appointment is None or appointment.status is not Status.BOOKED:
        return Drop("the appointment no longer stands")
    if message.facts.get("sequence") != appointment.sequence:
        return Drop("the appointment was changed since")
    if appointment.starts_at <= now:
        return Drop("the appointment has begun")
    return appointment


def calendar_file(
    appointment: Appointment,
    *,
    method: Method,
    organizer: str,
    now: datetime,
    attendee: str | None = None,
) -> bytes:
    """Return an appointment as an iCalendar document: PUBLISH is a file, the others are mail."""
    visit = _calendar_visit(appointment, organizer=organizer, attendee=attendee)
    return document(visit, method=method, now=now)


def calendar_links(appointment: Appointment, *, organizer: str) -> dict[str, str]:
    """Return, by the maker of a calendar on the web, the address that puts the appointment in."""
    visit = _calendar_visit(appointment, organizer=organizer)
    return {"Google": links.google(visit), "Outlook": links.outlook(visit)}


def feed(patient: Patient, *, organizer: str, now: datetime) -> bytes:
    """Return every date of a patient from a month ago on, as a calendar to subscribe to.

    What was called off stays for that month, marked so: programs drop it then.
    """
    appointments = db.session.scalars(
        select(Appointment)
        .where(
            Appointment.patient_id == patient.id,
            Appointment.starts_at > now - timedelta(days=31),
            Appointment.status.in_((*LIVE, Status.CANCELLED)),
        )
        .order_by(Appointment.starts_at)
    )
    return calendar_feed(
        [_calendar_visit(a, organizer=organizer) for a in appointments],
        uid=patient.public_id,
        now=now,
    )


def _calendar_visit(
    appointment: Appointment, *, organizer: str, attendee: str | None = None
) -> CalendarVisit:
    call = is_call(appointment)
    return CalendarVisit(
        uid=appointment.public_id,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        sequence=appointment.sequence,
        is_call=call,
        place=None if call else appointment.site.address,
        phone=appointment.site.phone,
        attendee=attendee,
        organizer=organizer,
        host=organizer.partition("@")[2],
        is_off=not appointment.is_live,
        changed_at=appointment.changed_at,
    )


def _told(appointment: Appointment, message: MessageView) -> dict[str, Any] | None:
    told: dict[str, Any] | None = (appointment.told or {}).get(message.channel.value)
    return told


def _around(patient_id: int, *, now: datetime) -> list[Appointment]:
    """Return a patient's appointments that still lie ahead, live or called off, in order."""
    return list(
        db.session.scalars(
            select(Appointment)
            .where(
                Appointment.patient_id == patient_id,
                Appointment.starts_at > now,
                Appointment.status.in_((Status.BOOKED, Status.ARRIVED, Status.CANCELLED)),
            )
            .order_by(Appointment.starts_at)
        )
    )


def _kind(appointment: Appointment) -> str:
    return "call" if is_call(appointment) else "visit"


def _facts(appointment: Appointment) -> dict[str, str]:
    """What the words of a message are made from. A call has no place to come to."""
    site = clinic_supply.current().sites[appointment.site_id]
    facts = {
        "starts_at": appointment.starts_at.isoformat(),
        "zone": appointment.zone_name,
        "site": site.name,
        "phone": site.phone,
    }
    return facts if is_call(appointment) else facts | {"address": site.address}


def way_home(appointment: Appointment, given: int, *, now: datetime) -> Word:
    """Return the text that holds the link to the words to take home: they asked for it just now.

    Args:
        given: Which giving it is; the same is not sent twice.
    """
    return Word(
        template=WAY_HOME,
        channel=Channel.SMS,
        patient=appointment.patient,
        facts={},
        topic=appointment.topic,
        dedupe_key=f"{WAY_HOME}:{given}",
        send_after=now,
        expires_at=now + timedelta(hours=6),
        is_reply=True,
    )


def _way_home(message: MessageView, *, public_url: str, now: datetime) -> Verdict:
    appointment = queries.by_topic(message.topic)
    if appointment is None or not appointment.is_live:
        return Drop("the appointment no longer stands")
    token = mint_link(appointment.patient, appointment.topic, expires_at=now + SHEET_LIVES, now=now)
    return Send(facts=_facts(appointment), links={"link": f"{public_url}/my/{token}/home"})


def page_token(appointment: Appointment, *, now: datetime, until: Appointment | None = None) -> str:
    """Return the token of a new link to an appointment's own page.

    Args:
        until: The last appointment it is to lead to, when a text tells of several.
    """
    return mint_link(
        appointment.patient,
        appointment.topic,
        expires_at=(until or appointment).ends_at + LINK_LIVES_ON,
        now=now,
    )


def _link(
    appointment: Appointment,
    *,
    public_url: str,
    now: datetime,
    until: Appointment | None = None,
) -> dict[str, str]:
    return {"link": f"{public_url}/my/{page_token(appointment, now=now, until=until)}"}
