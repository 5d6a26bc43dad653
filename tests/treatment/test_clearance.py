"""Nobody has a first infusion before a clinician signed that nothing speaks against it."""

import pytest
from flask import Flask

from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid, Stale
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.tasks import queries as tasks
from scheduler.treatment import chair, clearance, vocabulary
from scheduler.treatment.chair import Override
from scheduler.treatment.errors import MayNotSign, NotCleared, NotReady
from scheduler.treatment.models import Answer, Decision, Outcome
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import NOW, at, person


@pytest.fixture
def where(app: Flask, once: Once) -> course.Clinic:
    """Two sites and staff."""

    def made() -> course.Clinic:
        return course.clinic()

    return once(made)


@pytest.fixture
def june(once: Once, where: course.Clinic) -> int:
    """A patient's id."""

    def made() -> int:
        return make.patient("June", "Okafor").id

    return once(made)


def patient(patient_id: int) -> Patient:
    return db.session.get_one(Patient, patient_id)


def sign(
    patient_id: int,
    staff_id: int,
    decision: Decision = Decision.CLEARED,
    *,
    basis: dict[str, int] | None = None,
    reason: str | None = None,
) -> None:
    """Sign what is there now, or what was there before."""
    who = patient(patient_id)
    seen = clearance.current(who).basis if basis is None else basis
    clearance.sign(who, person(staff_id), decision, basis=seen, reason=reason, now=NOW)


def test_a_candidate_opens_the_clearance(keep: Keep, where: course.Clinic, june: int) -> None:
    with keep():
        call = make.call(_site(where), patient(june), at(3))
        plans.record_call(call, Outcome.CANDIDATE, note=None, actor="staff:4", now=at(3, 10, 20))

        assert tasks.is_open(clearance.TASK, f"patient:{june}")


def test_a_corrected_outcome_closes_it_again(keep: Keep, where: course.Clinic, june: int) -> None:
    with keep():
        call = make.call(_site(where), patient(june), at(3))
        plans.record_call(call, Outcome.CANDIDATE, note=None, actor="staff:4", now=at(3, 11))
        plans.record_call(call, Outcome.NOT_CANDIDATE, note=None, actor="staff:4", now=at(3, 11))

        assert not tasks.is_open(clearance.TASK, f"patient:{june}")


def _site(where: course.Clinic) -> Site:
    return db.session.get_one(Site, where.woburn)


def test_all_no_with_pressure_and_consent_can_be_signed(
    keep: Keep, where: course.Clinic, june: int
) -> None:
    with keep():
        clearance.open_clearance(patient(june), site_id=None, actor="staff:4", now=NOW)
        course.screened(patient(june))
        sign(june, where.doctor)

        standing = clearance.current(patient(june))
        assert standing.holds
        assert standing.signed is not None
        assert standing.signed.signed_by_id == where.doctor
        assert standing.entries["heart"].recorded_by == "staff:3"
        assert not tasks.is_open(clearance.TASK, f"patient:{june}")


@pytest.mark.parametrize("item", vocabulary.CONTRAINDICATIONS)
@pytest.mark.parametrize("value", [Answer.YES, Answer.UNKNOWN, None])
def test_whatever_is_there_or_not_known_stands_in_the_way(
    keep: Keep, where: course.Clinic, june: int, item: str, value: Answer | None
) -> None:
    with keep():
        for other in vocabulary.CONTRAINDICATIONS:
            said = value if other == item else Answer.NO
            if said is not None:
                clearance.answer(patient(june), other, said, actor="staff:3", now=NOW)
        clearance.record_pressure(patient(june), 128, 82, actor="staff:3", now=NOW)
        clearance.record_consent(patient(june), "2026-01", actor="staff:3", now=NOW)

    def act() -> None:
        with keep():
            sign(june, where.doctor)

    with pytest.raises(NotCleared) as refused:
        act()
    assert len(refused.value.missing) == 1
    assert vocabulary.CONTRAINDICATIONS[item] in refused.value.missing[0]


def test_without_pressure_or_consent_it_cannot_be_signed(
    keep: Keep, where: course.Clinic, june: int
) -> None:
    with keep():
        for item in vocabulary.CONTRAINDICATIONS:
            clearance.answer(patient(june), item, Answer.NO, actor="staff:3", now=NOW)

        assert clearance.current(patient(june)).missing == [
            "Blood pressure reading: missing",
            "Consent to treatment, signed: missing",
        ]


@pytest.mark.parametrize("who", ["nurse", "desk"])
def test_only_a_clinician_signs_it(keep: Keep, where: course.Clinic, june: int, who: str) -> None:
    with keep():
        course.screened(patient(june))

    def act() -> None:
        with keep():
            sign(june, getattr(where, who))

    with pytest.raises(MayNotSign):
        act()


def test_an_answer_recorded_while_it_was_open_is_not_signed_unseen(
    keep: Keep, where: course.Clinic, june: int
) -> None:
    with keep():
        course.screened(patient(june))
        seen = clearance.current(patient(june)).basis
        clearance.answer(patient(june), "thyroid", Answer.NO, actor="staff:3", now=NOW)

    def act() -> None:
        with keep():
            sign(june, where.doctor, basis=seen)

    with pytest.raises(Stale):
        act()


def test_a_refusal_is_signed_too_and_says_why(keep: Keep, where: course.Clinic, june: int) -> None:
    def without_a_reason() -> None:
        with keep():
            sign(june, where.doctor, Decision.NOT_CLEARED)

    with pytest.raises(Invalid):
        without_a_reason()
    with keep():
        sign(june, where.doctor, Decision.NOT_CLEARED, reason="Heart clinic first.")
        assert not clearance.current(patient(june)).holds


def test_another_answer_undoes_the_signature_and_the_same_answer_does_not(
    keep: Keep, where: course.Clinic, june: int
) -> None:
    with keep():
        course.cleared(patient(june), where)
        clearance.answer(patient(june), "heart", Answer.NO, actor="staff:3", now=at(3))
        assert clearance.current(patient(june)).holds

        clearance.answer(patient(june), "heart", Answer.YES, actor="staff:3", now=at(3))

        standing = clearance.current(patient(june))
        assert not standing.holds
        assert standing.changed == ["heart"]
        assert tasks.is_open(clearance.TASK, f"patient:{june}")


def test_signing_anew_makes_it_hold_again(keep: Keep, where: course.Clinic, june: int) -> None:
    with keep():
        first = course.cleared(patient(june), where)
        clearance.record_pressure(patient(june), 142, 90, actor="staff:3", now=at(3))
        assert not clearance.current(patient(june)).holds
        sign(june, where.other_doctor)

        signed = clearance.current(patient(june)).signed
        assert clearance.current(patient(june)).holds
        assert signed is not None
        assert signed.id > first.id


def test_an_infusion_does_not_start_when_an_answer_changed_since(
    keep: Keep, where: course.Clinic, june: int
) -> None:
    with keep():
        booked = course.first_infusion(patient(june), where).infusion
        course.make_ready(booked, now=at(4))
        clearance.answer(patient(june), "pregnancy", Answer.UNKNOWN, actor="staff:3", now=at(4))
        number = booked.id

    def act() -> None:
        with keep():
            visit = db.session.get_one(chair.Appointment, number)
            plans.start_infusion(visit, actor="staff:3", now=at(4, 10, 15))

    with pytest.raises(NotReady) as refused:
        act()
    assert refused.value.missing == (
        "An answer changed since the clearance was signed",
        "Pregnancy: not known",
    )
    with keep():
        visit = db.session.get_one(chair.Appointment, number)
        word = Override(person(where.doctor), "Tested here, negative.")
        started = plans.start_infusion(visit, override=word, actor="staff:3", now=at(4, 10, 15))
        assert started.signed_by_id == where.doctor
        assert started.reason == "Tested here, negative."


def test_a_pressure_nobody_has_is_refused(keep: Keep, where: course.Clinic, june: int) -> None:
    with pytest.raises(Invalid), keep():
        clearance.record_pressure(patient(june), 82, 128, actor="staff:3", now=NOW)
