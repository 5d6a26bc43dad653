"""Who may do what, and when a session is over."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.accounts import rules
from scheduler.accounts.models import Role
from scheduler.accounts.rules import Act
from scheduler.core.errors import Invalid

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("act", "who"),
    [
        (Act.APPROVE_PLAN, {Role.CLINICIAN}),
        (Act.SIGN_CLEARANCE, {Role.CLINICIAN}),
        (Act.OVERRIDE_SAFETY, {Role.CLINICIAN}),
        (Act.RECORD_SESSION, {Role.NURSE, Role.CLINICIAN}),
        (Act.SEE_CLINICAL, {Role.NURSE, Role.CLINICIAN}),
        (Act.BOOK, {Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN}),
        (Act.BEND_TIMES, {Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN}),
        (Act.BEND_RATIO, {Role.NURSE, Role.CLINICIAN}),
        (Act.CHANGE_STAFF, {Role.ADMIN}),
    ],
)
def test_each_right_belongs_to_those_the_table_names(act: Act, who: set[Role]) -> None:
    assert {role for role in Role if rules.may(role, act)} == who


@pytest.mark.parametrize(
    ("started", "used", "over"),
    [
        pytest.param(60, 14, False, id="used 14 minutes ago"),
        pytest.param(60, 15, True, id="unused for 15 minutes"),
        pytest.param(719, 0, False, id="just under 12 hours old"),
        pytest.param(720, 0, True, id="12 hours old, though in use"),
    ],
)
def test_a_session_ends_by_itself(started: int, used: int, over: bool) -> None:
    ended = rules.is_over(NOW - timedelta(minutes=started), NOW - timedelta(minutes=used), now=NOW)

    assert ended is over


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "rosalima-rosalima"])
def test_a_password_easily_found_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        rules.check_password(password, username="rosalima")
