"""What patients are told of their appointments: by rule, by difference, in one text a day."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.booking import notices, withdrawal
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Authority
from scheduler.clinic import service as clinic
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.jobs import deliver
from scheduler.messaging import ending, evidence
from scheduler.messaging.models import Message
from scheduler.messaging.rules import MessageView, Verdict
from scheduler.messaging.states import Channel, State
from scheduler.patients.models import ManageLink, Patient
from scheduler.tasks.models import Task
from scheduler.treatment import readiness
from tests import make
from tests.conftest import NOW, StoppedClock
from tests.messaging.kit import FakeSender, ana, delivery

PUBLIC = "https://clinic.example"
#: These tests live through some days, at these hours.
HOURS = (8, 10, 12, 14, 20)


class Phone:
    """The patient's phone, and the days going by."""

    def __init__(self, clock: StoppedClock) -> None:
        self.clock = clock
        self.sender = FakeSender()

    def judge(self, message: MessageView, now: datetime) -> Verdict:
        return notices.judge(
            message,
            public_url=PUBLIC,
            organizer="mail@clinic.example",
            asks_first=readiness.is_unanswered,
            now=now,
        )

    def texts(self) -> list[str]:
        """Send what is due; return the texts."""
        before = len(self.sender.sent)
        told = lambda message, now: notices.after_sent(message, now=now)  # noqa: E731
        deliver.run(delivery(self.sender, self.clock, judge=self.judge, told=told))
        new = self.sender.sent[before:]
        return [outgoing.body for outgoing in new if outgoing.channel is Channel.SMS]

    def until(self, moment: datetime) -> list[tuple[int, str]]:
        """Live on until a moment; return (day of March, text)."""
        heard = []
        for day in range(40):
            for hour in HOURS:
                at = make.at(hour, days=day)
                if self.clock() < at <= moment:
                    self.clock.set(at)
                    heard += [(2 + day, text) for text in self.texts()]
        return heard


@pytest.fixture
def phone(room: Flask, clock: StoppedClock) -> Phone:
    return Phone(clock)


@pytest.fixture
def world(room: Flask) -> tuple[Site, Patient]:
    with transaction():
        where = make.clinic_day()
        return where, ana(NOW, home_site_id=where.id)


def visit(world: tuple[Site, Patient], day: int, hour: int = 10, **more: object) -> int:
    """Book an infusion on a day of March, without a word; return its number."""
    with transaction():
        where, who = (db.session.merge(one) for one in world)
        return make.infusion(where, who, make.at(hour, days=day - 2), **more).id


def test_one_visit_is_asked_for_a_week_before_prepared_and_looked_forward_to(
    world: tuple[Site, Patient], phone: Phone
) -> None:
    visit(world, 16, notify=False)

    heard = phone.until(make.at(20, days=14))

    assert [day for day, _ in heard] == [9, 13, 15]
    soon, prepare, tomorrow = (text for _, text in heard)
    assert "your visit is Mon, Mar 16" in soon
    assert "1 Main Street" in prepare
    assert re.search(rf"Before you come: {PUBLIC}/my/\S{{32}}/ready ", prepare)
    assert re.search(rf"Before you come: {PUBLIC}/my/\S{{32}}/ready ", tomorrow)
    assert all("Reply 1 to confirm" in text for _, text in heard)


def test_three_visits_a_week_are_one_text_a_day_and_three_a_week(
    world: tuple[Site, Patient], phone: Phone
) -> None:
    for day in (11, 13, 15, 18):
        visit(world, day, notify=False, authority=(Authority.PLAN, "plan-version:1", None))

    heard = phone.until(make.at(20, days=16))

    days = [day for day, _ in heard]
    assert len(set(days)) == len(days), days
    assert all(b - a >= 7 for a, b in zip(days, days[3:], strict=False)), days
    with transaction():
        told = {
            m.template
            for m in db.session.scalars(sa.select(Message).where(Message.channel == Channel.SMS))
            if m.state in (State.SENT, State.MERGED)
        }
    assert "visit-soon" not in told  # the text with all the dates has said it
    for day in (11, 13, 15, 18):
        assert any(f"Mar {day}," in text for at, text in heard if at == day - 1), heard


def test_who_is_shut_out_is_told_so_once_and_hears_of_the_new_time_and_of_no_other(
    world: tuple[Site, Patient], phone: Phone
) -> None:
    number = visit(world, 6, notify=False)
    where = world[0].id

    def close(day: int) -> None:
        with transaction():
            withdrawal.withdraw_supply(
                lambda: clinic.close(
                    site=db.session.get_one(Site, where),
                    starts_at=make.at(0, days=day - 2),
                    ends_at=make.at(23, days=day - 2),
                    reason="Snow",
                    actor="staff:1",
                    now=phone.clock(),
                ),
                seen=None,
                actor="staff:1",
                now=phone.clock(),
            )

    close(6)

    assert phone.texts() == []  # the desk has two hours to find everybody another time
    heard = phone.until(make.at(20, days=3))
    assert [(day, text[:52]) for day, text in heard] == [
        (2, "Emerge Wellness: we are closed Fri, Mar 6, 10:00 AM,")
    ]
    with transaction():
        appointment = db.session.get_one(Appointment, number)
        booking.move(
            appointment,
            starts_at=make.at(10, days=7),
            version=appointment.version,
            actor="staff:1",
            now=phone.clock(),
        )
    heard = phone.until(make.at(20, days=6))
    assert [(day, "new time" in text, "Mar 9" in text) for day, text in heard] == [
        (6, True, True),
        (8, False, True),
    ]


def test_every_service_has_its_rules() -> None:
    assert set(notices.RULES) == set(ServiceCode)
    for rule in notices.RULES.values():
        assert all(r.days_before > 0 and r.holds < timedelta(days=7) for r in rule.reminders)


def test_what_is_called_off_in_the_evening_for_the_early_morning_is_for_a_person(
    world: tuple[Site, Patient], phone: Phone
) -> None:
    known, unseen = visit(world, 4, 8, notify=False), visit(world, 9, 8, notify=False)
    phone.clock.set(make.at(21, 10, days=1))

    def act(number: int, verb: Callable[..., object]) -> None:
        with transaction():
            appointment = db.session.get_one(Appointment, number)
            verb(appointment, version=appointment.version, actor="staff:1", now=phone.clock())

    def asked() -> list[Task]:
        return list(db.session.scalars(sa.select(Task).where(Task.kind == "not-sent")))

    act(known, booking.cancel)
    act(known, booking.reinstate)
    assert phone.texts() == []
    assert asked() == []  # they know it as it stands

    act(known, booking.cancel)
    assert phone.texts() == []
    assert [task.patient_id for task in asked()] == [world[1].id]

    phone.clock.set(make.at(21, 10, days=6))
    act(unseen, booking.cancel)
    phone.clock.set(make.at(9, days=7))  # no worker was alive that night
    with transaction():
        ending.expire_old(now=phone.clock())
    assert len(asked()) == 2


@pytest.mark.parametrize("act", ["cancel", "move"])
def test_a_change_that_a_phone_did_not_get_is_said_once_more_in_the_same_words(
    world: tuple[Site, Patient], phone: Phone, act: str
) -> None:
    number = visit(world, 12, notify=False)
    with transaction():
        appointment = db.session.get_one(Appointment, number)
        version = appointment.version
        if act == "cancel":
            booking.cancel(appointment, version=version, actor="staff:1", now=NOW)
        else:
            there = make.at(13, days=10)
            booking.move(appointment, starts_at=there, version=version, actor="staff:1", now=NOW)
    phone.clock.advance(minutes=15)
    (first,) = phone.texts()
    assert ("is off" in first) == (act == "cancel")
    with transaction():
        out = (Message.state == State.SENT, Message.channel == Channel.SMS)
        row = db.session.scalars(sa.select(Message).where(*out)).one()
        evidence.record_report(
            row.public_id, row.provider_ref or "", "undelivered", "30003", now=phone.clock()
        )

    phone.clock.advance(hours=2)
    (second,) = phone.texts()

    assert re.sub(r"/my/\S+", "", second) == re.sub(r"/my/\S+", "", first)
    phone.clock.advance(hours=2)
    assert phone.texts() == []


def test_a_link_lasts_as_long_as_its_dates_and_nothing_left_names_every_clinic(
    phone: Phone,
) -> None:
    with transaction():
        woburn, danvers = make.two_sites()
        who = ana(NOW, home_site_id=woburn.id)
        calls = [
            make.call(where, who, make.at(10, days=days)).id
            for where, days in ((woburn, 3), (danvers, 5), (woburn, 8))
        ]
    phone.clock.advance(minutes=15)
    assert "your dates" in phone.texts()[0]
    with transaction():
        link = db.session.scalars(sa.select(ManageLink)).one()
        assert link.expires_at > make.at(10, days=9)
        for number in calls:
            one = db.session.get_one(Appointment, number)
            booking.cancel(one, version=one.version, actor="staff:1", now=phone.clock())
    phone.clock.advance(days=1)

    (said,) = phone.texts()

    assert "your coming appointments (Woburn & Danvers) are off" in said
