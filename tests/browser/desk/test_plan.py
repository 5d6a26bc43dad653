"""The pages of a running plan in a real browser: for everybody, on every screen."""

import pytest
from flask import Flask

from scheduler.accounts.models import Role
from tests import course, make
from tests.browser.conftest import OpenPage, faults
from tests.conftest import Keep, StoppedClock


@pytest.fixture
def plan(keep: Keep, clock: StoppedClock, app: Flask) -> str:
    """A plan of six visits, the first of them held; the address of its page."""
    with keep():
        where = course.clinic()
        found = course.scheduled(make.patient("June", "Okafor", now=course.NOW), where)
        first = found.visits[0].appointment
        assert first is not None
        course.infuse(first, where, score=6)
        public_id = found.public_id
    clock.set(course.at(13, 9))
    return f"/desk/plans/{public_id}"


def test_every_page_of_a_running_plan_is_for_everybody_and_fits_its_screen(
    desk_page: OpenPage, plan: str
) -> None:
    page = desk_page(role=Role.CLINICIAN)
    for path in (
        plan,
        f"{plan}/act?act=defer&visit=3&to=2026-03-25&show=y",
        f"{plan}/act?act=re-space&visit=4&min=5&target=7&max=9&show=y",
        f"{plan}/progress",
        f"{plan}/summary",
    ):
        page.goto(path)
        assert faults(page) == [], path
