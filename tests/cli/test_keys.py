"""An operator makes a key."""

from flask.testing import FlaskCliRunner

from scheduler.core.sealed import KeyRing


def test_a_new_key_seals_and_the_old_one_still_opens(runner: FlaskCliRunner) -> None:
    old = runner.invoke(args=["keys", "new", "k1"]).output.strip()
    new = runner.invoke(args=["keys", "new"]).output.strip()
    before, after = KeyRing(), KeyRing()
    before.configure(old)
    after.configure(f"{new},{old}")
    assert after.open(before.seal("a word")) == "a word"
    assert after.seal("a word").startswith("k20260302.")


def test_a_name_that_would_break_the_list_of_keys_is_refused(runner: FlaskCliRunner) -> None:
    refused = runner.invoke(args=["keys", "new", "a,b"])
    assert refused.exit_code == 1
    assert "letters and digits" in refused.output
