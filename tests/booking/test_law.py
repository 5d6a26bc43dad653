"""The database itself refuses two claims of one lane at once, whoever asks."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.core.db import db, violated
from tests import make
from tests.conftest import Keep

T = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

#: Allen's thirteen relations of [a, b) to the claim that is there, four hours from T; the last
#: says whether the two leave each other alone.
ALLEN = [
    ("before", -3, -1, True),
    ("meets", -2, 0, True),
    ("overlaps", -1, 1, False),
    ("starts", 0, 1, False),
    ("during", 1, 2, False),
    ("finishes", 3, 4, False),
    ("equals", 0, 4, False),
    ("finished by", -1, 4, False),
    ("contains", -1, 5, False),
    ("started by", 0, 5, False),
    ("overlapped by", 3, 5, False),
    ("met by", 4, 6, True),
    ("after", 5, 6, True),
]


@pytest.fixture
def lane(app: Flask, keep: Keep) -> int:
    """A chair's lane, already claimed from T for four hours by an appointment."""
    with keep() as session:
        where = make.clinic_day(chairs=2)
        booked = make.infusion(where, make.patient())
        session.execute(sa.text("DELETE FROM claim"))
        lane_id = session.scalar(
            sa.text(
                "SELECT l.id FROM lane l JOIN resource r ON r.id = l.resource_id "
                "WHERE r.name = 'Chair 1'"
            )
        )
        _insert(session, lane_id, booked.id, T, T + 4 * HOUR)
    return int(lane_id or 0)


def _insert(
    session: sa.orm.Session, lane_id: int | None, owner: int, since: datetime, until: datetime
) -> None:
    session.execute(
        sa.text(
            "INSERT INTO claim (lane_id, starts_at, ends_at, appointment_id, is_pinned) "
            "VALUES (:lane, :since, :until, :owner, false)"
        ).bindparams(sa.bindparam("since", type_=_utc()), sa.bindparam("until", type_=_utc())),
        {"lane": lane_id, "since": since, "until": until, "owner": owner},
    )


def _utc() -> sa.types.TypeEngine[datetime]:
    return db.metadata.tables["claim"].c.starts_at.type


def _owner(session: sa.orm.Session) -> int:
    return int(session.scalar(sa.text("SELECT id FROM appointment")) or 0)


@pytest.mark.parametrize("deed", ["insert", "update"])
def test_raw_sql_may_only_touch_or_stay_apart(
    app: Flask, keep: Keep, lane: int, deed: str, subtests: pytest.Subtests
) -> None:
    for relation, a, b, apart in ALLEN:
        with subtests.test(relation):
            refused = None
            try:
                with keep() as session, session.begin_nested() as trial:
                    _try(session, deed, lane, T + a * HOUR, T + b * HOUR)
                    trial.rollback()
            except IntegrityError as error:
                refused = error

            assert (refused is None) == apart
            assert refused is None or violated(refused, "ex_claim_no_overlap")


def _try(session: sa.orm.Session, deed: str, lane: int, since: datetime, until: datetime) -> None:
    """Put a claim at [since, until): at once, or by moving one there from far away."""
    if deed == "insert":
        _insert(session, lane, _owner(session), since, until)
        return
    _insert(session, lane, _owner(session), T + 10 * HOUR, T + 11 * HOUR)
    session.execute(
        sa.text(
            "UPDATE claim SET starts_at = :since, ends_at = :until WHERE starts_at > :t"
        ).bindparams(*(sa.bindparam(n, type_=_utc()) for n in ("since", "until", "t"))),
        {"since": since, "until": until, "t": T + 9 * HOUR},
    )


def test_the_same_minutes_on_another_lane_are_free(app: Flask, keep: Keep, lane: int) -> None:
    with keep() as session:
        other = session.scalar(
            sa.text(
                "SELECT l.id FROM lane l JOIN resource r ON r.id = l.resource_id "
                "WHERE r.name = 'Chair 2'"
            )
        )
        _insert(session, other, _owner(session), T, T + 4 * HOUR)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        pytest.param(T, T, id="empty"),
        pytest.param(T + HOUR, T, id="backwards"),
        pytest.param(T + 20 * HOUR, T + 33 * HOUR, id="longer than 12 hours"),
    ],
)
def test_a_claim_of_no_or_of_too_much_time_is_refused(
    app: Flask, keep: Keep, lane: int, since: datetime, until: datetime
) -> None:
    with pytest.raises(IntegrityError), keep() as session:
        _insert(session, lane, _owner(session), since, until)


def test_a_claim_belongs_to_exactly_one_owner(app: Flask, keep: Keep, lane: int) -> None:
    with pytest.raises(IntegrityError), keep() as session:
        session.execute(sa.text("UPDATE claim SET appointment_id = NULL"))


def test_an_infusion_without_an_authority_is_refused(app: Flask, keep: Keep, lane: int) -> None:
    with pytest.raises(IntegrityError), keep() as session:
        session.execute(sa.text("UPDATE appointment SET authority = NULL, authority_ref = NULL"))


@pytest.mark.parametrize("table", ["audit_entry", "consent_entry"])
@pytest.mark.parametrize("deed", ["DELETE FROM {}", "UPDATE {} SET actor = 'somebody else'"])
def test_what_is_append_only_cannot_be_changed(
    app: Flask, keep: Keep, lane: int, table: str, deed: str
) -> None:
    with keep() as session:
        session.execute(
            sa.text(
                "INSERT INTO consent_entry (number, purpose, act, source, wording, actor, origin,"
                " at) VALUES ('+17815550111', 'appointments', 'granted', 'desk', 'yes', 'staff:1',"
                " '-', :at)"
            ).bindparams(sa.bindparam("at", T, type_=_utc()))
        )

    with pytest.raises(DBAPIError, match="append only"), keep() as session:
        session.execute(sa.text(deed.format(table)))


def test_an_audit_entry_may_be_sealed_once_and_not_again(app: Flask, keep: Keep, lane: int) -> None:
    with keep() as session:
        session.execute(sa.text("UPDATE audit_entry SET sealed_with = 'a'"))

    with pytest.raises(DBAPIError, match="append only"), keep() as session:
        session.execute(sa.text("UPDATE audit_entry SET sealed_with = 'b'"))


def test_without_the_law_the_same_sql_overlaps(app: Flask, keep: Keep, lane: int) -> None:
    """Negative control: the tests above can fail."""
    with keep() as session:
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sa.text("DROP TRIGGER ex_claim_no_overlap_insert"))
        else:
            session.execute(sa.text("ALTER TABLE claim DROP CONSTRAINT ex_claim_no_overlap"))
        _insert(session, lane, _owner(session), T, T + HOUR)

    with app.app_context():
        assert db.session.scalar(sa.text("SELECT count(*) FROM claim")) == 2
