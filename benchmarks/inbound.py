"""How soon a text that comes in is taken: one after the other, and many at one instant."""

from urllib.parse import urlsplit

import sqlalchemy as sa

from benchmarks import load, serving
from benchmarks.load import Answer, Browser
from benchmarks.page import Section
from scheduler.core.db import db, transaction
from scheduler.messaging import addresses
from scheduler.messaging.models import InboundText
from tests import make
from tests.support import twilio_server

#: So many at one instant, so often, and how long the slowest of all may take.
CROWDS = ((1, 100, 0.5), (32, 10, 1.0))
SAID = ("HELP", "1", "STOP", "Can I bring my daughter?")
WORDS = """
People text a clinic for the first time, each something else: HELP, 1, STOP, a question. First one
after the other, then 32 at one instant. The webhooks carry the provider's signature and are sent
but for their last byte; the last bytes follow in one loop. An answer means that the text and what
follows from it are committed. One round before them is not timed. "Well under a second" is what is
promised of a text: half a second is asked of one that comes alone, a second of a crowd.
"""
HEAD = ("database", "at one instant", "texts", "median ms", "slowest ms")


def run() -> Section:
    """Let texts come in on both databases."""
    section = Section("Texts that come in", WORDS, HEAD)
    settings = {
        "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT,
        "TWILIO_AUTH_TOKEN": twilio_server.TOKEN,
        "TWILIO_MESSAGING_SERVICE_SID": twilio_server.SERVICE,
    }
    for kind in serving.KINDS:
        with serving.database(kind) as url:
            with serving.room(url), transaction():
                make.two_sites()
            with serving.server(url, settings=settings) as port:
                sent = 0
                for at_once, rounds, limit_s in CROWDS:
                    answers: list[Answer] = []
                    for number in range(rounds + 1):
                        come = _texts(port, range(sent, sent + at_once))
                        sent += at_once
                        answers += come if number else []
                    _tell(section, kind, at_once, answers, limit_s)
            with serving.room(url):
                known = db.session.scalar(sa.select(sa.func.count()).select_from(InboundText))
        section.judge(kind, "texts that come in", f"{known} of {sent} taken", "all", known == sent)
    return section


def _texts(port: int, numbers: range) -> list[Answer]:
    """Let as many people text at one instant."""
    address = addresses.inbound(f"http://127.0.0.1:{port}")
    requests = []
    for number in numbers:
        form = {
            "MessageSid": f"SM{number:032x}",
            "AccountSid": twilio_server.ACCOUNT,
            "From": f"+1617230{number:04}",
            "Body": SAID[number % len(SAID)],
        }
        signed = [f"{name}: {value}" for name, value in twilio_server.signed(address, form).items()]
        requests.append(Browser(port).raw("POST", urlsplit(address).path, form, *signed))
    return load.at_once(port, requests)


def _tell(section: Section, kind: str, at_once: int, answers: list[Answer], limit_s: float) -> None:
    took = sorted(answer.seconds for answer in answers)
    median, slowest = took[len(took) // 2], took[-1]
    section.say(
        kind, str(at_once), str(len(answers)), f"{median * 1000:.0f}", f"{slowest * 1000:.0f}"
    )
    section.judge(
        kind,
        f"texts that come in, {at_once} at one instant, slowest answer",
        f"{slowest * 1000:.0f} ms",
        f"less than {limit_s * 1000:.0f} ms",
        slowest < limit_s and all(answer.status == 200 for answer in answers),
    )
