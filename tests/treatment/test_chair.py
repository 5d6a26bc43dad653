"""The record of the chair: what may follow what, what the board reads from it, who is hit."""

from datetime import timedelta

import pytest
from flask import Flask

from scheduler.booking.models import Appointment, Status
from scheduler.clinic import service as clinic
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.plans import service as plans
from scheduler.reports import session as report
from scheduler.treatment import chair, queries, vocabulary
from scheduler.treatment.chair import Override
from scheduler.treatment.errors import MayNotSign, NotInOrder, NotReady
from scheduler.treatment.models import EventKind
from scheduler.treatment.rules import Stage
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import at, person


@pytest.fixture
def where(app: Flask, once: Once) -> course.Clinic:
    """Two sites and staff."""

    def made() -> course.Clinic:
        return course.clinic()

    return once(made)


@pytest.fixture
def visit_id(once: Once, where: course.Clinic) -> int:
    """A first infusion on March 4 at 10:00."""

    def made() -> int:
        return course.first_infusion(make.patient("June", "Okafor"), where).infusion.id

    return once(made)


def visit(number: int) -> Appointment:
    return db.session.get_one(Appointment, number)


def started(number: int) -> Appointment:
    """The same visit with the drip running since 10:15."""
    found = visit(number)
    course.make_ready(found, now=at(4, 10, 10))
    plans.start_infusion(found, actor="staff:3", now=at(4, 10, 15))
    return found


def ended(number: int) -> Appointment:
    """The same visit with the drip over at 10:55."""
    found = started(number)
    chair.end(found, "complete", actor="staff:3", now=at(4, 10, 55))
    return found


def stage(number: int, hour: int, minute: int) -> tuple[Stage, int, int | None]:
    found = queries.chair_state(visit(number), now=at(4, hour, minute))
    return found.stage, found.minutes, found.of


def test_the_board_reads_the_stage_from_the_record(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        assert stage(visit_id, 10, 0) == (Stage.WAITING, 0, None)
        course.make_ready(visit(visit_id), now=at(4, 10, 10))
        assert stage(visit_id, 10, 12) == (Stage.READY, 2, None)
        plans.start_infusion(visit(visit_id), actor="staff:3", now=at(4, 10, 15))
        assert stage(visit_id, 10, 38) == (Stage.INFUSING, 23, 40)
        chair.end(visit(visit_id), "complete", actor="staff:3", now=at(4, 10, 55))
        assert stage(visit_id, 11, 5) == (Stage.RECOVERING, 10, 30)
        for item in vocabulary.DISCHARGE:
            chair.note_discharge(visit(visit_id), item, 2, actor="staff:3", now=at(4, 11, 20))
        chair.note_vitals(visit(visit_id), course.WELL, actor="staff:3", now=at(4, 11, 20))
        chair.sign_safe(visit(visit_id), person(where.nurse), escort=True, now=at(4, 11, 25))
        assert stage(visit_id, 11, 27) == (Stage.SAFE, 2, None)
        plans.complete_visit(visit(visit_id), actor="staff:3", now=at(4, 11, 30))
        assert stage(visit_id, 11, 30) == (Stage.GONE, 0, None)
        assert visit(visit_id).status is Status.FULFILLED


def test_the_drip_does_not_run_before_all_is_ready(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    def act() -> None:
        with keep():
            chair.note_readiness(
                visit(visit_id), "escort", is_met=False, actor="staff:3", now=at(4)
            )
            plans.start_infusion(visit(visit_id), actor="staff:3", now=at(4, 10, 15))

    with pytest.raises(NotReady) as refused:
        act()
    assert len(refused.value.missing) == len(vocabulary.READINESS) + 2

    with keep():  # a newer form than the one that was signed is in the way too
        site = db.session.get_one(Site, where.woburn)
        clinic.choose(site, "consent_version", "2026-07", actor="staff:1", now=at(3))
    with pytest.raises(NotReady) as refused:
        act()
    assert refused.value.missing[-1] == (
        "They signed version 2026-01 of the consent, and 2026-07 is in use now"
    )


def test_a_nurse_cannot_override_what_is_missing(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    def act() -> None:
        with keep():
            word = Override(person(where.nurse), "It will be fine.")
            plans.start_infusion(visit(visit_id), override=word, actor="staff:3", now=at(4))

    with pytest.raises(MayNotSign):
        act()


def test_an_infusion_starts_once(keep: Keep, where: course.Clinic, visit_id: int) -> None:
    with keep():
        started(visit_id)

    def again() -> None:
        with keep():
            plans.start_infusion(visit(visit_id), actor="staff:3", now=at(4, 10, 20))

    with pytest.raises(NotInOrder):
        again()


def test_starting_checks_the_patient_in(keep: Keep, where: course.Clinic, visit_id: int) -> None:
    with keep():
        assert started(visit_id).status is Status.ARRIVED


def test_a_side_effect_has_a_time_a_severity_and_an_action(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        running = started(visit_id)
        chair.note_side_effect(
            running, "dream-like", 2, action="reassured", at=at(4, 10, 30), actor="staff:3",
            now=at(4, 10, 33),
        )  # fmt: skip
        chair.note_side_effect(
            running, "nausea", 1, action="none", actor="staff:3", now=at(4, 10, 40)
        )

        assert queries.worst_severity(visit_id) == 2
        line = next(x for x in queries.lines(visit_id) if x.kind is EventKind.SIDE_EFFECT)
        assert (line.at, line.recorded_at) == (at(4, 10, 30), at(4, 10, 33))


@pytest.mark.parametrize(
    ("effect", "severity", "action", "note"),
    [
        pytest.param("itching", 1, "none", None, id="not on the list"),
        pytest.param("nausea", 4, "none", None, id="worse than severe"),
        pytest.param("nausea", 1, "prayed", None, id="no such action"),
        pytest.param("other", 1, "none", " ", id="other without words"),
    ],
)
def test_what_is_not_on_the_lists_is_refused_kindly(
    keep: Keep,
    where: course.Clinic,
    visit_id: int,
    effect: str,
    severity: int,
    action: str,
    note: str | None,
) -> None:
    with keep():
        started(visit_id)

    def act() -> None:
        with keep():
            chair.note_side_effect(
                visit(visit_id), effect, severity, action=action, note=note, actor="staff:3",
                now=at(4, 10, 30),
            )  # fmt: skip

    with pytest.raises(Invalid):
        act()


def test_a_dose_is_kept_as_staff_wrote_it(keep: Keep, where: course.Clinic, visit_id: int) -> None:
    with keep():
        chair.note_dose(
            started(visit_id), "0.5", "mg/kg over 40 min", actor="staff:3", now=at(4, 10, 16)
        )
        line = next(x for x in queries.lines(visit_id) if x.kind is EventKind.DOSE)
        assert line.data == {"amount": "0.5", "unit": "mg/kg over 40 min", "change": "set"}


def test_nobody_goes_home_with_a_criterion_open_or_alone(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        over = ended(visit_id)
        for item in vocabulary.DISCHARGE:
            points = 0 if item == "walks" else 2
            chair.note_discharge(over, item, points, actor="staff:3", now=at(4, 11, 20))
        chair.note_vitals(
            over, {"systolic": 154, "diastolic": 90}, actor="staff:3", now=at(4, 11, 20)
        )

    def act() -> None:
        with keep():
            chair.sign_safe(visit(visit_id), person(where.nurse), escort=False, now=at(4, 11, 25))

    with pytest.raises(NotReady) as refused:
        act()
    assert refused.value.missing == (
        "A score of at least 9 of 10: 8 of 10",
        "Upper pressure within 20 % of 126: 154, 22 % off",
        "Oxygen at least 92 %: not measured since the drip ended",
        "Nobody is here to take them home",
    )
    with keep():
        word = Override(person(where.doctor), "Uses a chair; taxi with a neighbour.")
        signed = chair.sign_safe(
            visit(visit_id), person(where.nurse), escort=False, override=word, now=at(4, 11, 25)
        )
        assert signed.signed_by_id == where.nurse
        assert signed.data["overridden_by"] == where.doctor
        line = next(e for e in report.record(visit(visit_id)) if e.kind is EventKind.SAFE)
        assert (line.now.signed_by, line.now.on_the_word_of) == ("Rosa Lima", "Amara Obi")


def test_somebody_without_the_skill_does_not_sign_safe(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        ended(visit_id)

    def act() -> None:
        with keep():
            chair.sign_safe(visit(visit_id), person(where.desk), escort=True, now=at(4, 11, 25))

    with pytest.raises(MayNotSign):
        act()


def test_an_amendment_stands_beside_what_it_amends(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        running = started(visit_id)
        wrong = chair.note_score(running, 3, when="during", actor="staff:3", now=at(4, 10, 30))
        chair.amend(
            wrong.id,
            reason="Misheard.",
            data={"score": 5, "when": "during"},
            signer=person(where.nurse),
            now=at(4, 10, 32),
        )

        line = next(x for x in queries.lines(visit_id) if x.id == wrong.id)
        assert line.data["score"] == 5
        assert line.is_amended
        written = [e for e in queries.events(visit_id) if e.kind is EventKind.SCORE]
        assert [e.data["score"] for e in written] == [8, 3, 5]


def test_a_start_pressed_by_mistake_is_struck_and_pressed_again(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        running = started(visit_id)
        event = next(e for e in queries.events(visit_id) if e.kind is EventKind.START)
        chair.amend(
            event.id, reason="Line not in.", strike=True, signer=person(where.nurse),
            now=at(4, 10, 17),
        )  # fmt: skip
        assert stage(visit_id, 10, 18)[0] is Stage.READY

        plans.start_infusion(running, actor="staff:3", now=at(4, 10, 25))

        assert stage(visit_id, 10, 30) == (Stage.INFUSING, 5, 40)


def test_an_amendment_says_why(keep: Keep, where: course.Clinic, visit_id: int) -> None:
    with keep():
        started(visit_id)
        number = queries.events(visit_id)[0].id

    def act() -> None:
        with keep():
            chair.amend(number, reason=" ", signer=person(where.nurse), now=at(4, 10, 30))

    with pytest.raises(Invalid):
        act()


def test_what_lies_ahead_cannot_be_recorded(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    def act() -> None:
        with keep():
            chair.note_vitals(
                visit(visit_id), {"pulse": 70}, at=at(4, 11), actor="staff:3", now=at(4, 10)
            )

    with pytest.raises(Invalid):
        act()


# ------------------------------------------------------------ late, and who is hit


def other_infusion(where: course.Clinic, name: str, moment: object) -> Appointment:
    """Somebody else's visit."""
    who = make.patient(name, mobile=None, email=None)
    return make.infusion(db.session.get_one(Site, where.woburn), who, moment)  # type: ignore[arg-type]


def test_a_late_session_keeps_its_chair_as_far_as_it_is_free(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        running = visit(visit_id)
        course.make_ready(running, now=at(4, 10, 10))
        plans.start_infusion(running, actor="staff:3", now=at(4, 10, 45))  # 30 minutes late

        assert chair.running(now=at(4, 11)) == [running]
        assert chair.extend_overrun(running, now=at(4, 11))

        ends = sorted(c.ends_at for c in running.claims if c.ends_at > at(4, 11))
        # Nurse and patient until 45 + 40 + 30 minutes, the chair ten more.
        assert ends == [at(4, 11, 55), at(4, 11, 55), at(4, 12, 5)]
        assert queries.who_is_hit(running, now=at(4, 11)) == []


def test_who_follows_in_the_same_chair_is_laid_elsewhere_or_named(app: Flask, keep: Keep) -> None:
    with keep():
        where = course.clinic(chairs=1)
        running = course.first_infusion(make.patient("June", "Okafor"), where).infusion
        following = other_infusion(where, "Ben", at(4, 11, 35))
        course.make_ready(running, now=at(4, 10, 10))
        plans.start_infusion(running, actor="staff:3", now=at(4, 10, 45))

        chair.extend_overrun(running, now=at(4, 11))

        hit = queries.who_is_hit(running, now=at(4, 11))
        assert [(h.appointment.id, h.name, h.minutes) for h in hit] == [
            (following.id, "Chair 1", 30)
        ]
        assert max(c.ends_at for c in running.claims) == at(4, 11, 55)  # the nurse has room


def test_with_a_second_chair_the_one_who_follows_takes_it(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        following = other_infusion(where, "Ben", at(4, 11, 35))
        running = visit(visit_id)
        course.make_ready(running, now=at(4, 10, 10))
        plans.start_infusion(running, actor="staff:3", now=at(4, 10, 45))

        chair.extend_overrun(running, now=at(4, 11))

        assert queries.who_is_hit(running, now=at(4, 11)) == []
        assert following.version == 1


def test_safe_to_go_gives_the_rest_of_the_time_back(
    keep: Keep, where: course.Clinic, visit_id: int
) -> None:
    with keep():
        over = ended(visit_id)
        for item in vocabulary.DISCHARGE:
            chair.note_discharge(over, item, 2, actor="staff:3", now=at(4, 11))
        chair.note_vitals(over, course.WELL, actor="staff:3", now=at(4, 11))
        chair.sign_safe(over, person(where.nurse), escort=True, now=at(4, 11, 2))

        ends = sorted(c.ends_at for c in over.claims if c.ends_at > at(4, 10, 45))
        assert ends == [at(4, 11, 5), at(4, 11, 5), at(4, 11, 15)]


def test_a_call_has_no_record_of_the_chair(keep: Keep, where: course.Clinic) -> None:
    with keep():
        who = make.patient("Ben", mobile=None, email=None)
        call = make.call(db.session.get_one(Site, where.woburn), who, at(4))
        assert call.service_code is ServiceCode.CALL
        number = call.id

    def act() -> None:
        with keep():
            chair.note(visit(number), "Hello.", actor="staff:3", now=at(4) + timedelta(minutes=1))

    with pytest.raises(NotInOrder):
        act()
