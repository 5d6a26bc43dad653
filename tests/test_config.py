"""What is wrong with the settings is said in one line, before anything starts."""

import pytest

import config
from scheduler.core.sealed import new_key


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_ACCOUNT_SID", "SMTP_HOST", "SMTP_PORT", "PORT", "HOST", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EMERGE_ENV", "demo")
    monkeypatch.setenv("SECRET_KEY", "a-secret-for-tests-only-0123456789abcdef")
    monkeypatch.setenv("EMERGE_KEYS", new_key("test"))
    monkeypatch.setenv("DATABASE_URL", "sqlite:////tmp/never-opened.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("SMTP_PORT", "smtp"),
        ("TRUSTED_PROXIES", "-1"),
        ("TEXTS_PER_SECOND", "nan"),
        ("TEXTS_PER_SECOND", "0"),
        ("EMERGE_KEYS", "garbage"),
        ("EMERGE_KEYS", "k1:AAAA"),
        ("EMERGE_ENV", "live"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://somebody:hidden@db/clinic"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(config.Misconfigured) as stopped:
        config.from_environment()

    line = str(stopped.value)
    assert name in line
    assert "\n" not in line
    assert "hidden" not in line


def test_an_empty_setting_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")

    assert config.from_environment().port == 8000
