"""What may be sent, to whom, when, and what an answer means. Every input is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
    """

    facts: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    attachment: bytes | None = None
    attachment_method: str | None = None
    template: str | None = None
    topic: str | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """It is no longer true, or never needed saying: `reason` is kept with the row."""

    reason: str
    state: State = State.CANCELLED


@dataclass(frozen=True)
class Wait:
    """Not yet: ask again at `until`. Past the message's expiry it expires instead."""

    until: datetime


Verdict = Send | Drop | Wait
