"""What the races against a served clinic share."""

import pytest
from flask import Flask


@pytest.fixture
def real_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock go: the processes outside know no stopped one."""
    monkeypatch.undo()
