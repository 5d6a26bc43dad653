"""Starting the demo over touches nothing but a demo."""

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from scheduler.accounts import queries as accounts
from tests import make
from tests.conftest import Keep


@pytest.fixture
def settings(environment: str) -> dict[str, object]:
    return {"environment": environment}


@pytest.mark.parametrize(
    ("environment", "words"),
    [("test", "EMERGE_ENV is not demo"), ("demo", "holds a clinic's own staff")],
)
def test_a_clinic_is_not_emptied_by_a_wrong_setting(
    app: Flask, keep: Keep, runner: FlaskCliRunner, words: str
) -> None:
    with keep():
        make.two_sites()
        make.staff("bea")

    done = runner.invoke(args=["reset-demo", "--yes"])

    assert done.exit_code == 1
    assert words in done.output
    with app.app_context():
        assert accounts.find_staff("bea") is not None
