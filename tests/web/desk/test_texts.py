"""What messages say: tried on a phone, judged when saved and again when sent."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.core.db import db
from scheduler.jobs import deliver
from scheduler.messaging import texts
from scheduler.messaging.models import Message, TextVersion
from scheduler.web.desk import texts as desk_texts
from tests import make
from tests.conftest import NOW, Keep, SignIn, StoppedClock
from tests.messaging.kit import FakeSender, ana, delivery, queue

PAGE = "/desk/texts/call-tomorrow/en"
OWN = (
    "{clinic}: it is nearly time, {site} calls you {when}. Reply 1 to confirm, 2 to change."
    " {phone}. Text STOP to end texts."
)


@pytest.fixture(autouse=True)
def _clinic(keep: Keep) -> None:
    with keep():
        make.two_sites()


def send(client: FlaskClient, path: str = PAGE, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, PAGE), **form})


def sent(app: Flask, keep: Keep, clock: StoppedClock, key: str) -> str:
    """Have one reminder go out to somebody new; return its words."""
    with keep():
        queue(ana(NOW, mobile=f"+1781555011{key}"), NOW, dedupe_key=key)
    sender = FakeSender()
    with app.app_context():
        deliver.run(delivery(sender, clock))
    return sender.sent[0].body


def test_words_are_tried_saved_used_and_put_back(
    signed_in: SignIn, app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    assert signed_in().get(PAGE).status_code == 403
    client = signed_in(Role.ADMIN)
    assert "The day before a call" in client.get("/desk/texts").text
    assert set(desk_texts.TITLES) == set(texts.names())  # each is called by what it is for
    page = client.get(PAGE).text
    assert re.search(r"Emerge Wellness: our \w+ team will call you Wed, Sep 30, 12:45 PM\.", page)
    assert "short alphabet (GSM-7" in page
    assert "long alphabet" in client.get("/desk/texts/unclear/es").text
    assert client.get("/desk/texts/visit-soon/fr").status_code == 404
    assert client.get("/desk/texts/no-such/en").status_code == 404

    for words, fault in (
        (OWN.replace("{when}", "{hour}"), "does not know the name {hour}"),
        (OWN.replace("{when}", "soon"), "leaves out {when}, day and time"),
        (OWN.replace("nearly", "ketamine"), "says too much: ketamine"),
        (OWN.replace("STOP", "END"), "does not say how to stop"),
        (OWN.replace("Reply 1", "Reply C"), "does not ask for 1 or 2"),
        (OWN.replace("{clinic}", "Hello"), "does not begin with who we are"),
        (OWN + " {", "has a brace that means nothing"),
        (OWN + " word" * 50, "takes 3 parts"),
        (OWN + " See evil.example", "leads elsewhere: evil.example; only the patient"),
    ):
        refused = send(client, words=words, seen=0)
        assert refused.status_code == 422
        assert fault in refused.text
        assert words in refused.text.replace("&#39;", "'")  # nothing typed is lost

    looked = send(client, words=OWN, look=1)
    assert re.search(r"Wellness: it is nearly time, \w+ calls you Wed, Sep 30", looked.text)
    assert sent(app, keep, clock, "1").startswith("Emerge Wellness: our Woburn team will call you")

    assert send(client, words=OWN, seen=0).status_code == 303
    assert send(client, words=OWN, seen=0).status_code == 409  # somebody saw the page before
    assert sent(app, keep, clock, "2").startswith("Emerge Wellness: it is nearly time")
    with app.app_context():
        newest = select(Message.template_version).order_by(Message.id.desc())
        assert str(db.session.scalars(newest).first()).startswith("own:")

    seen = re.search(r'name="seen" value="(\d+)"', client.get(PAGE).text)
    assert seen
    assert send(client, put_back=1, seen=seen[1]).status_code == 303
    assert sent(app, keep, clock, "3").startswith("Emerge Wellness: our Woburn team will call you")


def test_words_that_are_unfit_when_they_go_out_give_way_to_the_shipped_ones(
    app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep() as session:  # past the page, or saved before a rule was added
        for number, words in enumerate((OWN.replace("nearly", "ketamine"), OWN + "{link2}")):
            session.add(
                TextVersion(
                    template="call-tomorrow",
                    language="en",
                    after_id=number,
                    words=words,
                    author="staff:1",
                    at=NOW,
                )
            )
            session.flush()
    assert sent(app, keep, clock, "4").startswith("Emerge Wellness: our Woburn team will call you")


def test_help_in_danger_says_the_same_everywhere(signed_in: SignIn, app: Flask) -> None:
    client = signed_in(Role.ADMIN)
    page = "/desk/texts/emergency/en"
    assert "cannot be changed" in client.get(page).text

    refused = send(client, page, words="{clinic}: call us.", seen=0)

    assert refused.status_code == 422
    with app.app_context():
        assert db.session.scalars(select(TextVersion)).all() == []
