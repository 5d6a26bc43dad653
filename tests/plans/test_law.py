"""What the database itself holds of the course, whoever asks: tried by raw SQL."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.core.db import db, violated
from scheduler.patients.models import Patient
from tests import course, make
from tests.conftest import Keep, Once
from tests.course import at


def with_visits() -> course.Clinic:
    found = course.clinic()
    course.scheduled(make.patient("June", "Okafor"), found)
    return found


@pytest.fixture
def where(once: Once) -> course.Clinic:
    """Two sites, and June's plan with six visits booked from March 12."""
    return once(with_visits)


def moment(name: str, value: datetime) -> sa.BindParameter[datetime]:
    """A moment as the database spells it."""
    return sa.bindparam(name, value, type_=db.metadata.tables["claim"].c.starts_at.type)


def run(keep: Keep, statement: str, **moments: datetime) -> None:
    with keep() as session:
        session.execute(sa.text(statement).bindparams(*(moment(n, v) for n, v in moments.items())))


VISIT_1 = "id = (SELECT appointment_id FROM planned_visit WHERE number = 1)"


def test_a_planned_visit_cannot_be_moved_out_of_its_window_without_a_reason(
    keep: Keep, where: course.Clinic
) -> None:
    with pytest.raises(IntegrityError, match="inside_its_window"):
        run(
            keep,
            f"UPDATE appointment SET starts_at = :since, ends_at = :until,"
            f" spacing_reason = 'close' WHERE {VISIT_1}",
            since=at(25),
            until=at(25, 12),
        )


def test_inside_its_window_the_planned_start_follows_the_appointment(
    keep: Keep, where: course.Clinic
) -> None:
    run(
        keep,
        f"UPDATE appointment SET starts_at = :since, ends_at = :until WHERE {VISIT_1}",
        since=at(12, 14),
        until=at(12, 16),
    )
    with keep() as session:
        found = session.scalar(
            sa.text("SELECT starts_at FROM planned_visit WHERE number = 1").columns(
                db.metadata.tables["planned_visit"].c.starts_at
            )
        )
        assert found == at(12, 14)


def test_with_a_reason_it_may_leave_its_window(keep: Keep, where: course.Clinic) -> None:
    run(keep, "UPDATE planned_visit SET outside_reason = 'Away.' WHERE number = 6")
    run(
        keep,
        "UPDATE appointment SET starts_at = :since, ends_at = :until WHERE id ="
        " (SELECT appointment_id FROM planned_visit WHERE number = 6)",
        since=at(31),
        until=at(31, 12),
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("state = 'to-place'", id="to place although it has a date"),
        pytest.param("appointment_id = NULL", id="booked without an appointment"),
        pytest.param("state = 'omitted', appointment_id = NULL, starts_at = NULL", id="dropped"),
        pytest.param("earliest = latest", id="a window turned round"),
        pytest.param("state = 'perhaps'", id="a state that is none"),
    ],
)
def test_a_planned_visit_makes_sense(keep: Keep, where: course.Clinic, change: str) -> None:
    with pytest.raises(IntegrityError):
        run(keep, f"UPDATE planned_visit SET {change} WHERE number = 1")


def test_one_appointment_answers_one_visit(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            "UPDATE planned_visit SET outside_reason = 'x', (appointment_id, starts_at) ="
            " (SELECT appointment_id, starts_at FROM planned_visit WHERE number = 1)"
            " WHERE number = 2",
        )


@pytest.mark.parametrize(
    ("hours", "is_allowed"), [(-46, False), (-1, False), (2, False), (46, False), (48, True)]
)
def test_two_infusions_of_one_patient_keep_their_distance(
    keep: Keep, where: course.Clinic, hours: int, is_allowed: bool
) -> None:
    with keep() as session:
        make.infusion(
            db.session.get_one(make.Site, where.danvers),
            session.get_one(Patient, 1),
            at(24) + timedelta(days=20),
            now=at(12),
        )
    since = at(27) + timedelta(hours=hours)

    def move() -> None:
        run(
            keep,
            "UPDATE appointment SET starts_at = :since, ends_at = :until"
            " WHERE site_id = 2 AND service_code = 'infusion'",
            since=since,
            until=since + timedelta(minutes=85),
        )

    if is_allowed:
        move()
        return
    with pytest.raises(IntegrityError) as refused:
        move()
    assert violated(refused.value, "ex_appointment_spacing")


def test_with_a_reason_or_called_off_an_infusion_may_be_close(
    keep: Keep, where: course.Clinic
) -> None:
    for change in ("spacing_reason = 'agreed'", "status = 'cancelled', spacing_reason = NULL"):
        run(keep, f"UPDATE appointment SET {change} WHERE {VISIT_1}")
        run(
            keep,
            f"UPDATE appointment SET starts_at = :since, ends_at = :until WHERE {VISIT_1}",
            since=at(14),
            until=at(14, 12),
        )
    with pytest.raises(IntegrityError):
        run(keep, f"UPDATE appointment SET status = 'booked' WHERE {VISIT_1}")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("assessment", "score = 1"),
        ("clearance", "decision = 'cleared', signed_by_id = 2"),
        ("plan_signature", "signed_by_id = 2"),
        ("plan_version", "number = 7"),
        ("screening_entry", "answer = 'no', recorded_by = 'staff:9'"),
        ("session_event", "recorded_by = 'staff:9'"),
    ],
)
def test_what_was_signed_or_recorded_is_never_changed(
    keep: Keep, where: course.Clinic, table: str, column: str
) -> None:
    for deed in (f"UPDATE {table} SET {column}", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match="append only"):
            run(keep, deed)


def test_a_protocols_text_is_never_changed(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(DBAPIError, match="append only"):
        run(keep, "UPDATE protocol_version SET document = 'code = 1'")


def test_a_version_is_signed_once(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            "INSERT INTO plan_signature (plan_version_id, verdict, signed_by_id, signed_at)"
            " SELECT plan_version_id, 'approved', 2, :now FROM plan_signature",
            now=at(11),
        )


def test_an_infusion_starts_once(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            "INSERT INTO session_event (appointment_id, kind, at, data, is_struck, recorded_by,"
            " recorded_at) SELECT appointment_id, kind, at, data, is_struck, recorded_by,"
            " recorded_at FROM session_event WHERE kind = 'start'",
        )


def test_a_patient_has_one_open_plan(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            "INSERT INTO plan (public_id, patient_id, site_id, assessment_id, protocol_id, state,"
            " version, changed_at, changed_by, change) SELECT 'other', patient_id, site_id,"
            " assessment_id, protocol_id, 'draft', 1, changed_at, changed_by, change FROM plan",
        )


def test_clinical_words_are_stored_sealed(keep: Keep, where: course.Clinic) -> None:
    with keep() as session:
        stored = session.scalar(sa.text("SELECT goals FROM assessment"))
    assert stored
    assert "dog" not in stored


@pytest.mark.parametrize(
    "table", ["assessment", "clearance", "plan_signature", "plan_version", "screening_entry",
              "session_event"],
)  # fmt: skip
def test_no_row_that_was_signed_is_put_in_the_place_of_another(
    keep: Keep, where: course.Clinic, table: str
) -> None:
    """REPLACE deletes what is in its way; SQLite asks no trigger unless told to."""
    with keep() as session:
        if session.get_bind().dialect.name != "sqlite":
            pytest.skip("only SQLite knows REPLACE")
    with pytest.raises(DBAPIError, match="append only"):
        run(keep, f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")


@pytest.mark.parametrize("authority", ["NULL", "'override'"])
def test_no_infusion_without_an_authority_that_is_named(
    keep: Keep, where: course.Clinic, authority: str
) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            f"UPDATE appointment SET authority = {authority}, authority_reason = NULL"
            f" WHERE {VISIT_1}",
        )


def test_a_patient_is_not_in_two_places(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError) as refused:
        run(
            keep,
            "INSERT INTO claim (lane_id, starts_at, ends_at, appointment_id, is_pinned)"
            " SELECT c.lane_id, c.starts_at, c.ends_at, c.appointment_id, c.is_pinned"
            " FROM claim c JOIN lane l ON l.id = c.lane_id"
            " JOIN patient p ON p.resource_id = l.resource_id",
        )
    assert violated(refused.value, "ex_claim_no_overlap")


def test_safe_to_go_is_never_written_unsigned(keep: Keep, where: course.Clinic) -> None:
    with pytest.raises(IntegrityError):
        run(
            keep,
            "INSERT INTO session_event (appointment_id, kind, at, data, is_struck, recorded_by,"
            " recorded_at) SELECT appointment_id, 'safe', at, data, is_struck, recorded_by,"
            " recorded_at FROM session_event WHERE kind = 'readiness'",
        )
