"""Rules that staff may set aside with a reason, and what stays on record of it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from scheduler.audit.models import AuditEntry
from scheduler.booking import queries, soft, withdrawal
from scheduler.booking import service as booking
from scheduler.booking.errors import AtRatio, SlotTaken, SoftRule
from scheduler.booking.models import Appointment, Authority, Claim
from scheduler.booking.soft import Excuse, Rule
from scheduler.clinic import standard
from scheduler.clinic.models import Lane, ServiceCode
from scheduler.core.db import db
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.plans import undo
from scheduler.plans.safety import Grant
from tests import make
from tests.conftest import Keep, Once
from tests.make import at

NOW = make.MONDAY
TIMES = frozenset({Rule.NOTICE, Rule.HORIZON})


def set_aside() -> list[dict[str, object]]:
    """Return what the record says was set aside."""
    return list(
        db.session.scalars(
            sa.select(AuditEntry.detail).where(AuditEntry.action == "appointment.rule-set-aside")
        )
    )


@pytest.fixture
def busy(app: Flask, once: Once) -> int:
    """A site with six chairs and one nurse, who watches three from 10:00 on; its id."""

    def made() -> int:
        standard.add_services()
        where = make.site(chairs=6, starts=6)
        make.person(where, "Rosa Lima", skills=("nurse",), lanes=3)
        make.person(where, "Ines Roy")
        for n in range(3):
            make.infusion(where, make.patient(f"P{n}"))
        return where.id

    return once(made)


def fourth(site_id: int, patient: Patient, *, beyond_ratio: bool) -> Appointment:
    return booking.book(
        ServiceCode.INFUSION,
        site_id,
        at(10),
        patient,
        actor="staff:1",
        now=NOW,
        authority=(Authority.OVERRIDE, "staff:1", "Known to the clinic."),
        beyond_ratio=beyond_ratio,
    )


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(hours=1), "at least 2 hours ahead"),
        (timedelta(days=31), "at most 30 days ahead"),
    ],
)
def test_a_call_sooner_or_later_than_usual_asks_why_and_keeps_the_answer(
    keep: Keep, busy: int, ahead: timedelta, words: str
) -> None:
    with pytest.raises(SoftRule, match=words), keep():
        plans.book(ServiceCode.CALL, busy, NOW + ahead, make.patient(), actor="staff:1", now=NOW)
    with keep():
        booked = plans.book(
            ServiceCode.CALL,
            busy,
            NOW + ahead,
            make.patient(),
            actor="staff:1",
            now=NOW,
            excuse=Excuse(" They leave  town. ", TIMES),
        )
        assert booked.starts_at == NOW + ahead
        rule = "notice" if ahead < timedelta(days=1) else "horizon"
        assert set_aside() == [{"rules": [rule], "reason": "They leave  town."}]


def test_a_move_with_a_reason_can_be_taken_back(keep: Keep, busy: int) -> None:
    with keep():
        call = plans.book(ServiceCode.CALL, busy, at(10), make.patient(), actor="staff:1", now=NOW)
        plans.move(
            call,
            starts_at=NOW + timedelta(hours=1),
            version=call.version,
            actor="staff:1",
            now=NOW,
            excuse=Excuse("They leave town tonight.", TIMES),
        )
        assert len(set_aside()) == 1
        assert undo.undoable(call, now=NOW) == "the move"
        undo.undo(call, version=call.version, actor="staff:1", now=NOW)
        assert call.starts_at == at(10)


def test_a_reason_from_somebody_without_the_right_is_none(keep: Keep, busy: int) -> None:
    soon = NOW + timedelta(hours=1)
    with pytest.raises(SoftRule), keep():
        plans.book(
            ServiceCode.CALL,
            busy,
            soon,
            make.patient(),
            actor="staff:1",
            now=NOW,
            excuse=Excuse("Please.", frozenset()),
        )


def test_a_day_that_is_under_way_is_rearranged_without_a_word(keep: Keep, busy: int) -> None:
    near = NOW + timedelta(hours=1)
    with keep():
        call = make.call(db.session.get_one(make.Site, busy), make.patient(), near)
        plans.move(
            call, starts_at=near + timedelta(minutes=15), version=1, actor="staff:1", now=NOW
        )
        assert set_aside() == []
    with keep():
        far = make.call(db.session.get_one(make.Site, busy), make.patient("Ben"), at(11))
        far_id = far.id
    with pytest.raises(SoftRule), keep():
        plans.move(
            db.session.get_one(Appointment, far_id),
            starts_at=near + timedelta(minutes=30),
            version=1,
            actor="staff:1",
            now=NOW,
        )


def test_a_nurses_fourth_visit_is_refused_in_words_and_allowed_with_a_reason(
    keep: Keep, busy: int
) -> None:
    with keep():
        patient = make.patient("Dana")
        patient_id = patient.id
    with pytest.raises(AtRatio, match="Rosa Lima"), keep():
        fourth(busy, db.session.get_one(Patient, patient_id), beyond_ratio=False)
    with keep():
        booked = fourth(busy, db.session.get_one(Patient, patient_id), beyond_ratio=True)
        soft.note(booked, [], Excuse("A second nurse comes at 9.", frozenset({Rule.RATIO})),
                  actor="staff:1", now=NOW)  # fmt: skip
        placed = queries.placed([booked])[0]
        nurse = db.session.get_one(make.Resource, placed.person_id)
        assert nurse.name == "Rosa Lima"
        assert set_aside() == [{"rules": ["ratio"], "reason": "A second nurse comes at 9."}]
        public_id = booked.public_id
    with keep():  # known to be one too many, so it is on nobody's list
        assert [hit.public_id for hit in withdrawal.stranded(now=NOW)] == [public_id]
        assert withdrawal.to_replace(now=NOW) == []


def test_beyond_the_ratio_the_law_still_holds(keep: Keep, busy: int) -> None:
    with keep():
        for name in ("Dana", "Eli"):
            fourth(busy, make.patient(name), beyond_ratio=True)
        lanes = db.session.scalars(
            sa.select(Claim.lane_id)
            .join(Lane, Lane.id == Claim.lane_id)
            .join(make.Resource, make.Resource.id == Lane.resource_id)
            .where(make.Resource.name == "Rosa Lima")
        ).all()
        assert len(lanes) == len(set(lanes)) == 5
        fourth(busy, make.patient("Fay"), beyond_ratio=True)  # the sixth chair is the last
        gus = make.patient("Gus")
        with pytest.raises(SlotTaken, match="chairs"):
            fourth(busy, gus, beyond_ratio=True)


def test_a_lane_made_for_one_visit_too_many_is_offered_to_nobody_and_used_again(
    keep: Keep, busy: int
) -> None:
    def lanes() -> int:
        return db.session.scalars(
            sa.select(sa.func.count(Lane.id))
            .join(make.Resource, make.Resource.id == Lane.resource_id)
            .where(make.Resource.name == "Rosa Lima")
        ).one()

    with keep():
        extra = fourth(busy, make.patient("Dana"), beyond_ratio=True)
        assert lanes() == 4
        with pytest.raises(AtRatio):
            fourth(busy, make.patient("Eli"), beyond_ratio=False)
        booking.cancel(extra, actor="staff:1", now=NOW)
        fourth(busy, make.patient("Fay"), beyond_ratio=True)
        assert lanes() == 4


def test_a_planned_grant_is_no_excuse(keep: Keep, busy: int) -> None:
    """An authority entitles to the visit; a notice is another question."""
    grant: Grant = (Authority.OVERRIDE, "staff:1", "Known.")
    with pytest.raises(SoftRule), keep():
        plans.book(
            ServiceCode.INFUSION,
            busy,
            NOW + timedelta(hours=3),
            make.patient(),
            actor="staff:1",
            now=NOW,
            authority=grant,
        )
