"""What leaves the building because of a course: one text of all dates, and never a word of why."""

import re
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler.accounts.models import Role
from scheduler.booking import notices
from scheduler.booking.models import Appointment
from scheduler.clinic.models import ServiceCode
from scheduler.core.db import db
from scheduler.jobs import deliver
from scheduler.messaging import consent, lint
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.states import Channel
from scheduler.plans import service as plans
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.course import at
from tests.messaging.kit import FakeSender, delivery
from tests.web.desk.test_course_hostile import dates, post, visit_of


def sent_until(
    app: Flask, clock: StoppedClock, moment: datetime, *, hours: float = 4
) -> list[Outgoing]:
    """Let a worker look every four hours until a moment; return what went out."""
    sender = FakeSender()
    with app.app_context():
        while clock.moment < moment:
            clock.set(min(clock.moment + timedelta(hours=hours), moment))
            deliver.run(
                delivery(
                    sender,
                    clock,
                    judge=lambda message, now: notices.judge(
                        message,
                        public_url="https://example.org",
                        organizer="clinic@example.org",
                        now=now,
                    ),
                    told=lambda message, now: notices.after_sent(message, now=now),
                )
            )
    return sender.sent


def texts(sent: list[Outgoing]) -> list[Outgoing]:
    return [o for o in sent if o.channel is Channel.SMS]


@pytest.mark.parametrize("language", ["en", "es", "pt_BR"])
def test_a_course_tells_all_dates_in_one_text_and_no_message_says_why(
    keep: Keep, signed_in: SignIn, app: Flask, clock: StoppedClock, language: str
) -> None:
    with keep():
        where = course.clinic()
        patient = make.patient("June", "Okafor", language=language)
        consent.grant(
            patient,
            "+17815550111",
            wording="Yes.",
            source="paper",
            actor="staff:4",
            origin="test",
            now=course.NOW,
        )
        infusion = course.first_infusion(patient, where).infusion
        one = infusion.public_id
    gone = sent_until(app, clock, at(3, 18))
    assert texts(gone), [(o.channel, o.body) for o in gone]
    with keep():
        course.infuse(visit_of(one), where)
        plan = course.chat(visit_of(one), now=at(9, 9)).plan
        assert plan is not None
        path, version = f"/desk/plans/{plan.public_id}", str(plan.version)
    gone += sent_until(app, clock, at(9, 10))
    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    form = dates(doctor.get(path).text) | {"version": version, "deed": "book"}
    done = post(doctor, f"{path}/approve", password=make.PASSWORD, **form)
    assert done.status_code == 303

    told = sent_until(app, clock, at(9, 12), hours=0.25)
    assert len(texts(told)) == 1
    gone += told

    doctor = signed_in(Role.CLINICIAN, "some-clinician")
    with app.app_context():
        third = db.session.scalars(
            select(Appointment)
            .where(Appointment.service_code == ServiceCode.INFUSION)
            .order_by(Appointment.starts_at)
        ).all()[2]
        visit, number = third.public_id, third.version
    post(doctor, f"/desk/appointments/{visit}/cancel", version=str(number), notify="y")
    undone = post(doctor, f"/desk/appointments/{visit}/undo", version=str(number + 1))
    assert undone.status_code == 303
    assert texts(sent_until(app, clock, at(9, 15), hours=0.25)) == []

    gone += sent_until(app, clock, at(20, 12))
    with keep():
        last = visit_of(visit)
        if last.starts_at > clock.moment:
            plans.cancel(last, actor="staff:4", now=clock.moment)
    gone += sent_until(app, clock, at(30, 12))
    assert len(texts(gone)) > 5
    for message in gone:
        faults = lint.faults(
            message.body,
            template=message.view.template,
            is_text=message.channel is Channel.SMS,
            subject=message.subject,
            site="Woburn",
            address="1 Main Street, Woburn, MA",
            links=re.findall(r"https://example\.org/my/[\w-]{32,}(?:/ready)?", message.body),
        )
        assert faults == [], (message.body, faults)
        if message.attachment:
            unfolded = message.attachment.decode().replace("\r\n ", "")
            assert lint.telling(unfolded) == [], unfolded
