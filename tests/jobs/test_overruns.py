"""The worker lets a late infusion keep its chair, and leaves alone what is signed safe."""

from flask import Flask

from scheduler.jobs import overruns
from scheduler.plans import service as plans
from scheduler.treatment import chair, vocabulary
from tests import course, make
from tests.conftest import Keep
from tests.course import at, person


def test_a_late_infusion_keeps_its_chair_until_it_is_signed_safe(app: Flask, keep: Keep) -> None:
    with keep():
        where = course.clinic()
    with keep():
        visit = course.first_infusion(make.patient("June", "Okafor"), where).infusion
        course.make_ready(visit, now=at(4, 10, 10))
        plans.start_infusion(visit, actor="staff:3", now=at(4, 10, 45))
        number = visit.id

    with app.app_context():
        assert overruns.run(now=at(4, 11)) == 1
        assert overruns.run(now=at(4, 11, 1)) == 0

    with keep():
        visit = chair.db.session.get_one(chair.Appointment, number)
        chair.end(visit, "complete", actor="staff:3", now=at(4, 11, 25))
        for item in vocabulary.DISCHARGE:
            chair.note_discharge(visit, item, 2, actor="staff:3", now=at(4, 11, 30))
        chair.note_vitals(visit, course.WELL, actor="staff:3", now=at(4, 11, 30))
        chair.sign_safe(visit, person(where.nurse), escort=True, now=at(4, 11, 30))
        plans.complete_visit(visit, actor="staff:3", now=at(4, 11, 32))

    with app.app_context():
        assert overruns.run(now=at(4, 11, 40)) == 0
