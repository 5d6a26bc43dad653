"""What every page of the desk has around it: the rooms, their counts, and what was just done."""

import re
from dataclasses import dataclass
from typing import Any

from flask import Flask, g, request, session, url_for

from config import Config
from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.core import clock
from scheduler.messaging import addresses
from scheduler.messaging import queries as messages
from scheduler.messaging.queries import Blocked
from scheduler.reports import counts
from scheduler.web import login

#: One slash, then anything but another slash or a backslash: never another host.
_LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x1f]*")


@dataclass(frozen=True)
class Room:
    """One entry of the navigation."""

    name: str
    endpoint: str
    count: int = 0
    presses: bool = False  # whether the count asks for attention


def rooms(config: Config) -> list[tuple[str, list[Room]]]:
    """Return the rooms by group, with their counts; only rooms that exist."""
    waiting = counts.waiting(now=clock.now())
    demo = [Room("Simulated phone", "desk_phone.numbers")] if config.is_demo else []
    keeps = login.me().may(Act.CHANGE_SUPPLY)
    keeping = [Room("Supply", "desk_supply.overview")] if keeps else []
    if login.me().may(Act.CHANGE_TEXTS):
        keeping.append(Room("Texts", "desk_texts.overview"))
    return [
        (
            "",
            [
                Room("Today", "desk.today"),
                Room("Patients", "desk_patients.search"),
                Room("Inbox", "desk_inbox.conversations", waiting.inbox, presses=True),
            ],
        ),
        (
            "To do",
            [
                Room("To call", "desk_lists.to_call", waiting.to_call),
                Room("Not reached", "desk_lists.not_reached", waiting.not_reached, presses=True),
                Room("To re-place", "desk_replace.show", waiting.to_replace, presses=True),
                Room("Tasks", "desk_lists.show_tasks", waiting.tasks, presses=True),
                Room("New people", "desk_lists.new_people", waiting.enquirers),
            ],
        ),
        (
            "Courses",
            [
                Room("To clear", "desk_course.to_clear", waiting.to_clear),
                Room("Chats due", "desk_course.chats_due", waiting.chats),
                Room("Plans to sign", "desk_course.drafts", waiting.drafts),
                Room("To place", "desk_course.to_place", waiting.to_place),
                Room("Waitlist", "desk_waitlist.show", waiting.waitlist),
                Room("Falling off", "desk_course.falling_off", waiting.falling, presses=True),
                Room("Protocols", "desk_protocols.show"),
            ],
        ),
        ("Clinic", keeping),
        ("Demo", demo),
    ]


ALARMS = {
    Blocked.UNVERIFIED: (
        "Texts are waiting: no text has come in to the clinic's number yet, so a STOP would not "
        "be heard. Text the number once from any phone; then they go out."
    ),
    Blocked.STOPPED: (
        "Texts are waiting: the company that carries them refuses our account. "
        "The open task says why; closing it lets them go."
    ),
}
SILENT = (
    "Texts are not going out: the program that sends them has stopped. "
    "Tell whoever looks after the system, and call people who must know today."
)


def alarms(config: Config) -> list[str]:
    """Return what everybody at the desk must know, because patients will not be told."""
    inbound = addresses.inbound(config.public_url) if config.sends_by_twilio else None
    blocked = messages.sending_is_blocked(inbound)
    found = [ALARMS[blocked]] if blocked else []
    return [SILENT, *found] if messages.worker_is_silent(now=clock.now()) else found


def join(app: Flask, config: Config) -> None:
    """Give the desk's templates their surroundings."""

    @app.context_processor
    def around() -> dict[str, object]:
        return {
            "rooms": lambda: rooms(config),
            "alarms": lambda: alarms(config),
            "said": take_said,
            "may": lambda act: login.me().may(Act(act)),
        }


def say(
    text: str, *, undo: str | None = None, version: int | None = None, about: str | None = None
) -> None:
    """Have the next page say what was done, with a way to take it back.

    Holds no name: it travels in the cookie.

    Args:
        undo: The public id of the appointment whose last change may be undone.
        about: The public id of the appointment it is about; the page names the patient.
    """
    session["said"] = {"text": text, "undo": undo, "version": version, "about": about}


def take_said() -> dict[str, Any] | None:
    """Return what is to be said, once."""
    if login.is_poll():
        return None
    if "said_now" not in g:
        g.said_now = session.pop("said", None)
        if g.said_now and g.said_now.get("about"):
            g.said_now["who"] = book.by_public_id(g.said_now["about"]).patient.shown_name
    said: dict[str, Any] | None = g.said_now
    return said


def back(default: str | None = None) -> str:
    """Return the page of ours to go back to: the form's `back`, or the board."""
    wanted = request.values.get("back", "")
    return wanted if _LOCAL_PATH.fullmatch(wanted) else default or url_for("desk.today")
