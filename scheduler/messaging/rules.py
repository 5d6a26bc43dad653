"""What may be sent, to whom, when, and what an answer means. Every input is an argument."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.core.words import plain
from scheduler.messaging.states import Channel, State

# ---------------------------------------------------------------- what the rooms above answer


@dataclass(frozen=True)
class MessageView:
    """A queued message as a judge sees it: values, no row, so nothing is read behind its back."""

    id: int
    public_id: str
    channel: Channel
    patient_id: int | None
    recipient: str
    language: str
    template: str
    facts: Mapping[str, Any]
    topic: str
    dedupe_key: str
    is_reply: bool
    created_at: datetime
    send_after: datetime
    expires_at: datetime
    attempts: int


@dataclass(frozen=True)
class Send:
    """It is still true: send it with these facts.

    `facts` become the words (see texts.py for the names they may have: moments are ISO text with
    an offset, phones E.164). `links` are whole secret addresses by name; they go into the words
    and are masked in what is stored. `attachment` is an iCalendar document, e-mail only, and
    `attachment_method` its METHOD. `template` replaces the one that was queued, `topic` its topic
    (a change message turns out to speak of one appointment, and a "1" must find it). `memo` is
    kept with the row and given back as `facts["memo"]` once the message is known to be sent.
    `near` is the first moment a change is about: what is so near waits for no cap.
    """

    facts: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    attachment: bytes | None = None
    attachment_method: str | None = None
    template: str | None = None
    topic: str | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)
    near: datetime | None = None


@dataclass(frozen=True)
class Drop:
    """It is no longer true, or never needed saying: `reason` is kept with the row."""

    reason: str
    state: State = State.CANCELLED


@dataclass(frozen=True)
class Wait:
    """Not yet: ask again at `until`. Past the message's expiry it expires instead.

    `because` names what keeps it back, in words for staff.
    """

    until: datetime
    because: str = ""


Verdict = Send | Drop | Wait


# ---------------------------------------------------------------- how long, how often

CALL_TIMEOUT = timedelta(seconds=10)  # between two signs of life from the provider
CALL_LIMIT = timedelta(seconds=20)  # for one call as a whole
LEASE = timedelta(seconds=60)  # at least three whole calls, or a slow worker loses its claim
AMBIGUOUS_FOR = timedelta(minutes=15)  # how long evidence is looked for
MOST_ATTEMPTS = 12
MOST_FAULTS = 3  # how often words may fail to come out before the message is set aside
ASKED_WITHIN = timedelta(hours=72)  # how long "1" and "2" still answer a question
REPLY_HOLDS = timedelta(hours=2)  # how long an answer to a text is worth sending
JUST_NOW = timedelta(minutes=30)  # how long after their own act somebody is still awake for it
MOST_REPLIES_A_DAY = 20  # that a machine writes, to one number
DAY_BEGINS = time(8)
DAY_ENDS = time(21)
WEEK = timedelta(days=7)
LONGEST_VALIDITY = 36_000  # seconds; what the provider takes at most

#: All that a phone which others read is told, with a private link and without.
DISCREET = "for-one"
DISCREET_CALL = "for-one-call"


class Purpose(enum.StrEnum):
    """Why a text goes. When more is due to a person than one text holds, the first here leads."""

    ANSWER = "answer"  # to what they are doing this moment, or a code they wait for
    CHANGE = "change"  # the book is not as they were told
    TOMORROW = "tomorrow"
    READINESS = "readiness"  # three days before: when and where to be, what to answer first
    AHEAD = "ahead"  # seven days before: will you come?
    ALONE = "alone"  # whatever else goes by itself: an offer of an earlier time


_RANK = {purpose: place for place, purpose in enumerate(Purpose)}

#: What a text that waits is for. What is not listed goes alone, and is capped.
PURPOSES: Mapping[str, Purpose] = {
    "changed": Purpose.CHANGE,
    "visit-closed": Purpose.CHANGE,
    "call-closed": Purpose.CHANGE,
    "call-tomorrow": Purpose.TOMORROW,
    "visit-tomorrow": Purpose.TOMORROW,
    "visit-prepare": Purpose.READINESS,
    "visit-soon": Purpose.AHEAD,
}
CHANGES = frozenset(name for name, purpose in PURPOSES.items() if purpose is Purpose.CHANGE)
#: What is due on one day is said in one text; these are templates by purpose.
RIDING = frozenset(PURPOSES)

#: Texts nobody asked for just now: never at night, and a late double harms nobody.
REMINDERS = frozenset({"call-tomorrow", "visit-soon", "visit-prepare", "visit-tomorrow"})
#: Several reminders in one text.
_SEVERAL = frozenset({"coming-up", "coming-up-ready"})
#: Times offered to those who wait for one.
OFFERS = frozenset({"call-offer", "visit-offer"})
#: Words about one visit that may carry the questions of a reminder that is due the same day.
ASKS_ALONG = frozenset({"visit-booked", "visit-moved", "visit-reinstated"})
#: Texts that ask for 1 or 2.
ASKING = REMINDERS | {"call-booked", "visit-moved", "visit-moved-ready"}
#: Answers to a text that came in. They need no consent: the person wrote first.
REPLIES = frozenset(
    {"confirmed", "change-asked", "stopped", "started", "help", "unclear", "emergency", "answer"}
)
#: Of those, what staff wrote themselves; a machine at the other end never gets these.
BY_STAFF = "answer"
#: Of those, what nobody waits for a morning with.
IN_DANGER = "emergency"
#: What may be answered although the number said stop: the one confirmation of it, and an answer
#: to somebody who asks for help.
EVEN_WHEN_STOPPED = frozenset({"stopped", "help", "emergency"})
#: What may go out a second time after a call that ended without an answer: the same words still
#: being true, a late double tells nobody anything new. A change told twice could tell an old one.
DOUBLE_IS_HARMLESS = (
    REMINDERS
    | _SEVERAL
    | {
        DISCREET,
        "call-booked",
        "visit-booked",
        "visit-booked-ready",
        "invite",
        "invite-cancelled",
    }
)


def purpose(template: str, *, is_reply: bool) -> Purpose:
    """Return why a text goes; an answer to somebody's own act is none the caps are for."""
    if is_reply or template in REPLIES:
        return Purpose.ANSWER
    return PURPOSES.get(template, Purpose.ALONE)


def more_urgent_than(purpose: Purpose) -> frozenset[str]:
    """Return the templates that a text for this purpose must leave room for.

    An offer was asked for and cannot wait, so it comes before what can be said a day later with
    something else; news within a day waits for no cap and needs no room.
    """
    if purpose is Purpose.ALONE:
        return frozenset(t for t, other in PURPOSES.items() if other is Purpose.TOMORROW)
    return frozenset(t for t, other in PURPOSES.items() if _RANK[other] < _RANK[purpose])


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """Return how long to wait after the `attempts`-th try: 30 s doubling up to 30 minutes.

    `jitter`, from 0 to 1, moves it by up to a fifth either way, so that a hundred messages that
    failed together do not come back together.
    """
    seconds = min(30 * 2 ** (max(attempts, 1) - 1), 1800)
    return timedelta(seconds=seconds * (0.8 + 0.4 * jitter))


def validity_seconds(expires_at: datetime, *, now: datetime) -> int:
    """Return how long the provider may keep trying: no longer than the message is of use."""
    left = int((expires_at - now).total_seconds())
    return max(1, min(left, LONGEST_VALIDITY))


def next_daytime(
    now: datetime, zone: ZoneInfo, *, begins: time = DAY_BEGINS, ends: time = DAY_ENDS
) -> datetime:
    """Return `now` if people may be texted then (8:00 to 21:00 on the wall), else the next 8:00."""
    wall = now.astimezone(zone)
    if begins <= wall.time() < ends:
        return now
    day = wall.date() if wall.time() < begins else wall.date() + timedelta(days=1)
    return datetime.combine(day, begins, tzinfo=zone).astimezone(UTC)


def frees_at(
    told: Iterable[datetime],
    *,
    now: datetime,
    zone: ZoneInfo,
    a_day: int,
    a_week: int,
    begins: time = DAY_BEGINS,
) -> datetime | None:
    """Return when one more text may go to somebody texted at `told`; None when it may go now.

    At most `a_day` on a calendar day of theirs and `a_week` in any seven days.
    """
    today = now.astimezone(zone).date()
    week = sorted(moment for moment in told if moment > now - WEEK)
    free = []
    if sum(moment.astimezone(zone).date() == today for moment in week) >= a_day:
        morning = datetime.combine(today + timedelta(days=1), begins, tzinfo=zone)
        free.append(morning.astimezone(UTC))
    if len(week) >= a_week:
        free.append((week[-a_week] if a_week else now) + WEEK)
    return max(free, default=None)


def leaves_room(
    told: Sequence[datetime], planned: Sequence[datetime], *, now: datetime, a_week: int
) -> bool:
    """Say whether a text now leaves the more urgent ones at `planned` (later days) their place."""
    for moment in planned:
        spent = sum(moment - WEEK < earlier for earlier in told) + 1
        spent += sum(earlier < moment for earlier in planned)
        if spent >= a_week:
            return False
    return True


# ---------------------------------------------------------------- several things in one text


@dataclass(frozen=True)
class Part:
    """One of the things due to a person today, and its words if it went alone."""

    purpose: Purpose
    topic: str
    template: str
    send: Send


def leading(parts: Iterable[Part]) -> Purpose:
    """Return the most urgent purpose of some parts."""
    return min((part.purpose for part in parts), key=_RANK.__getitem__)


def together(parts: Sequence[Part]) -> Send:
    """Return what says all of `parts` in one text: the most urgent word, or a list of dates.

    Of two words about one appointment the more urgent one says enough, but what is to be answered
    before a visit is not lost with the other. The text with every date that stands says all the
    others as well.
    """
    about: dict[str, Part] = {}
    for part in sorted(parts, key=lambda one: _RANK[one.purpose]):
        about.setdefault(part.send.topic or part.topic, part)
    chosen = list(about.values())
    lead = next((part for part in chosen if "starts_at" not in part.send.facts), chosen[0])
    memo = {key: told for part in parts for key, told in part.send.memo.items()}
    near = min((part.send.near for part in parts if part.send.near), default=None)
    every = json.loads(lead.send.facts.get("visits", "[]"))
    known = {visit[0] for visit in every}
    listed = [_listed(part.send) for part in chosen if "starts_at" in part.send.facts]
    missing = [visit for visit in listed if visit[0] not in known]
    links = {name: url for part in reversed(parts) for name, url in part.send.links.items()}
    if len(chosen) == 1 or lead.send.template == "all-cancelled":
        words = lead.send.template or lead.template
        if words in ASKS_ALONG and "ready" in links:
            words = f"{words}-ready"
        return replace(lead.send, template=words, links=links, memo=memo, near=near)
    template = "dates" if chosen[0].purpose is Purpose.CHANGE else "coming-up"
    return Send(
        facts={
            "visits": json.dumps(sorted([*every, *missing], key=_starts_at)),
            "phone": lead.send.facts["phone"],
        },
        links=links,
        template=f"{template}-ready" if "ready" in links else template,
        memo=memo,
        near=near,
    )


def _starts_at(visit: Sequence[str]) -> datetime:
    return datetime.fromisoformat(visit[0])


def _listed(send: Send) -> list[str]:
    """Return an appointment as texts.py lists it: when, by which wall, where, and what became."""
    facts = send.facts
    site = facts.get("site", "") if facts.get("address") else ""
    state = (send.template or "").rpartition("-")[2]
    return [
        facts["starts_at"],
        facts.get("zone", ""),
        site,
        state if state in {"cancelled", "closed"} else "",
    ]


# ---------------------------------------------------------------- where a message may go

_OUT = frozenset({State.SENT, State.DELIVERED, State.UNDELIVERED, State.FAILED})
_BACK = frozenset({State.CANCELLED, State.SUPPRESSED, State.EXPIRED})

#: What may follow what. A message goes back to the queue only while it is certain that nothing
#: has left the building (a lease ran out before the call, the provider refused to take it), or
#: when evidence was looked for, none was found, and a double would be harmless.
MAY_BECOME: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.CLAIMED, *_OUT, *_BACK}),
    State.CLAIMED: frozenset({State.QUEUED, State.SENDING, State.MERGED, *_OUT, *_BACK}),
    State.SENDING: frozenset({State.QUEUED, State.AMBIGUOUS, State.SUPPRESSED, *_OUT}),
    State.AMBIGUOUS: frozenset({State.QUEUED, State.SUPPRESSED, *_OUT}),
    State.SENT: frozenset({State.DELIVERED, State.UNDELIVERED, State.FAILED}),
    State.UNDELIVERED: frozenset({State.DELIVERED}),
    State.FAILED: frozenset({State.DELIVERED}),
    State.DELIVERED: frozenset(),
    State.MERGED: frozenset({State.QUEUED, State.SUPPRESSED}),
    State.EXPIRED: frozenset({State.DELIVERED}),
    State.CANCELLED: frozenset({State.DELIVERED}),
    State.SUPPRESSED: frozenset({State.DELIVERED}),
}

#: What the provider's words for a message say of it. A word not listed says nothing.
REPORTED: Mapping[str, State] = {
    "accepted": State.SENT,
    "scheduled": State.SENT,
    "queued": State.SENT,
    "sending": State.SENT,
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "failed": State.FAILED,
    "canceled": State.FAILED,
}


def moves_forward(stands: State, reported: State) -> bool:
    """Say whether a report is news.

    Late and doubled reports are normal and change nothing; "delivered" is believed even after
    "undelivered", for a phone that has the text has it. The first of two failures stands.
    """
    return reported in MAY_BECOME[stands]


# ---------------------------------------------------------------- what a refusal means


class Trouble(enum.StrEnum):
    """What to do about a text the provider did not take or could not deliver."""

    LATER = "later"  # not now: try again, further and further apart
    ONCE_MORE = "once-more"  # the phone was off: once more in some hours, then a person
    NEVER = "never"  # it will not work; a person must look
    BAD_NUMBER = "bad-number"  # no text will ever reach this number
    OPTED_OUT = "opted-out"  # they told the provider to stop: the same as telling us
    STOPS_ALL = "stops-all"  # our account is at fault: nothing more is tried until looked at
    UNWANTED = "unwanted"  # by our own choice this is not sent (not on the list, no mail server)


_BY_CODE: Mapping[str, Trouble] = {
    "20003": Trouble.STOPS_ALL,  # our key is not accepted
    "20404": Trouble.STOPS_ALL,  # our account or service is not found
    "20429": Trouble.LATER,  # too many at once
    "21211": Trouble.BAD_NUMBER,
    "21265": Trouble.BAD_NUMBER,
    "21408": Trouble.NEVER,  # that region is not enabled
    "21606": Trouble.STOPS_ALL,  # our own number cannot send
    "21610": Trouble.OPTED_OUT,
    "21612": Trouble.BAD_NUMBER,
    "21614": Trouble.BAD_NUMBER,  # takes no texts
    "21635": Trouble.BAD_NUMBER,  # a landline
    "21703": Trouble.STOPS_ALL,  # no number in our messaging service
    "30001": Trouble.LATER,  # the provider's queue is full
    "30002": Trouble.STOPS_ALL,  # our account is suspended
    "30003": Trouble.ONCE_MORE,  # the phone cannot be reached
    "30005": Trouble.BAD_NUMBER,
    "30006": Trouble.BAD_NUMBER,
    "30007": Trouble.NEVER,  # filtered by a carrier: sending again makes it worse
    "30008": Trouble.ONCE_MORE,
    "30034": Trouble.STOPS_ALL,  # our sender is not registered
    "30036": Trouble.ONCE_MORE,  # the phone was off for as long as the text was to wait
    "30450": Trouble.NEVER,
    "30610": Trouble.NEVER,
    "30640": Trouble.NEVER,
}


def trouble(code: str | None, status: int | None = None) -> Trouble:
    """Return what a refusal with this provider code (or HTTP status) asks for.

    The provider warns that codes come and go: one that is not known here is for a person.
    """
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    if status == 429 or status == 503:
        return Trouble.LATER
    if status in {401, 403}:
        return Trouble.STOPS_ALL
    return Trouble.NEVER


# ---------------------------------------------------------------- what a text that came in means


class Intent(enum.StrEnum):
    """What the words of a text were taken to mean."""

    CONFIRM = "confirm"
    CHANGE = "change"
    STOP = "stop"
    START = "start"
    HELP = "help"
    EMERGENCY = "emergency"
    UNCLEAR = "unclear"


def _either(words: str) -> frozenset[str]:
    return frozenset(words.split("|"))


_CONFIRM = _either(
    "1|one|uno|um|c|confirm|confirmed|i confirm|1 confirm|ok|okay|si|sim|confirmo|confirmar|"
    "confirmado|confirmada"
)
_CHANGE = _either(
    "2|two|dos|dois|change|2 change|reschedule|move|cambiar|cambio|mudar|mudanca|alterar|"
    "remarcar|reprogramar"
)
_STOP = _either(
    "stop|stopall|stop all|unsubscribe|end|quit|revoke|optout|opt out|cancel|stpo|sotp|stopp|"
    "no more|no thanks stop|no mas|para|parar|pare|paren|parem|pare com isso|alto|basta|baja|"
    "dar de baja|detener|cancelar|sair|descadastrar|nao quero mais|ya no quiero|wrong number|"
    "numero equivocado|numero errado"
)
_START = _either("start|unstop|yes|comenzar|iniciar|empezar|comecar")
_HELP = _either("help|info|ayuda|ajuda")
_EMERGENCY = re.compile(
    r"\b(chest pains?|pain in my chest|(cant|can not|cannot) breathe?|not breathing|suicid\w*"
    r"|(trouble|difficulty|hard time) breathing|hard to breathe|short(ness)? of breath"
    r"|kill(ing)? my ?self|end (my life|it all)|want to die|(dont|do not) want to (live|be alive)"
    r"|better off dead|(hurt|harm)(ing)? my ?self|self harm|overdos\w*|(cant|wont) stop bleeding"
    r"|heart attack|having a (stroke|seizure)|passed out|unconscious|call 911|ambulance"
    r"|dolor (de|en el) pecho|no puedo respirar|cuesta respirar|falta (de|el) aire"
    r"|matarme|me voy a matar|quiero morir(me)?|no quiero (seguir viviendo|vivir)|quitarme la vida"
    r"|hacerme dano|sobredosis|infarto|emergencia|ambulancia"
    r"|dor no peito|nao consigo respirar|falta de ar|dificuldade (de|em|para) respirar"
    r"|me matar|quero morrer|nao quero (mais )?viver|tirar minha vida|me machucar"
    r"|ataque cardiaco|overdose)\b|^911$|^988$|(?<!family )\bemergency\b"
)
_STOP_SAID = re.compile(
    r"\b(stop|quit)\b.*\b(text|texts|texting|messag\w+|msgs?|contact\w*|sms|sending|writing)\b"
    r"|\b(dont|do not|never) (ever )?(text|message|contact|send)\b"
    r"|\b(dont|do not) want\b.*\b(texts?|messages?|msgs?)\b"
    r"|\bno more (texts?|messages?|msgs?)\b"
    r"|\b(unsubscribe|opt (me )?out|opting out|remove (me|my number)|take me off"
    r"|leave me alone|wrong number)\b"
    r"|\b(no mas|no quiero|dejen? de|par(a|en?) de|no me)\b.*"
    r"\b(mensajes?|textos?|escrib\w+|envi\w+|mand\w+|texte\w+)\b"
    r"|\b(nao quero|par(a|em?) de|nao me|chega de)\b.*"
    r"\b(mensage\w+|textos?|envi\w+|mand\w+|escrev\w+)\b"
)
#: "Stop. I will call you." Whatever follows, it was said.
_STOP_FIRST = re.compile(r"\W*stop\s*[.,;:!\n]")
#: Where "stop" is said of something else: "I can't stop vomiting", "don't stop", "can I stop by".
_OTHER_STOP = re.compile(
    r"\b(cant|cannot|wont|dont|doesnt|didnt|not|never) (ever )?(stop|quit)\b"
    r"|\bstop (by|in|over|at (the|your|my))\b|\bbus stop\b"
)
_CHANGE_SAID = re.compile(
    r"\b(reschedul\w+|(cant|cannot|can not) (make|come)|(need|want|like) to (change|move|cancel)"
    r"|(change|move|cancel) (my|the|our) (appointment|visit|call|time)"
    r"|cambiar (mi|la) (cita|hora)|no puedo (ir|llegar)"
    r"|(mudar|remarcar) (minha|a) (consulta|hora|visita)|nao posso ir)\b"
)


def intent(text: str) -> Intent:
    """Return what a text means, by fixed words: no guess that a person could not retrace.

    Danger is looked for first and anywhere. Stopping is believed in free wording, for the law
    asks it; confirming never is. "Yes" is the carriers' word for opting in, not for an
    appointment. What is not certain is unclear, and a person reads it.
    """
    words = " ".join(re.sub(r"[^a-z0-9 ]", " ", re.sub(r"['’`´]", "", plain(text))).split())
    if _EMERGENCY.search(words):
        return Intent.EMERGENCY
    if words in _STOP:
        return Intent.STOP
    for known, meaning in (
        (_CONFIRM, Intent.CONFIRM),
        (_CHANGE, Intent.CHANGE),
        (_START, Intent.START),
        (_HELP, Intent.HELP),
    ):
        if words in known:
            return meaning
    if _STOP_FIRST.match(text.casefold()):
        return Intent.STOP
    meant = _OTHER_STOP.sub(" ", words)
    if _STOP_SAID.search(meant):
        return Intent.STOP
    if "stop" in meant.split() and len(words.split()) <= 4:
        return Intent.STOP
    if _CHANGE_SAID.search(words):
        return Intent.CHANGE
    return Intent.UNCLEAR
