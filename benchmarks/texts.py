"""How many texts a second one worker sends, and whether it keeps to the rate it was given."""

import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from benchmarks import serving
from benchmarks.page import Section
from scheduler.core import clock
from scheduler.core.db import db, transaction
from scheduler.jobs import answer
from scheduler.messaging import addresses
from scheduler.messaging.models import InboundRoute
from tests import make
from tests.journeys.world import WORKER
from tests.support import databases, twilio_server

TEXTS = 300
WANTED = 20.0
PUBLIC = "http://127.0.0.1:9"
PATIENCE_S = 120
WORDS = f"""
{TEXTS} people have texted HELP; one worker (`flask worker`) answers them through a server on this
machine that plays Twilio and flushes each text to the disk before it says yes. First with no
rate in its way, then told to send {WANTED:.0f} a second: the texts in every stretch of one second
are counted, wherever it begins.
"""
HEAD = ("database", "rate it is given", "texts", "per second", "most in any one second")


def run() -> Section:
    """Send on both databases, unbounded and bounded."""
    section = Section("Texts", WORDS, HEAD)
    for kind in serving.KINDS:
        for rate in (1000.0, WANTED):
            moments = _sent(kind, rate)
            speed = (len(moments) - 1) / (moments[-1] - moments[0])
            most = _most_in_a_second(moments)
            given = "none" if rate > WANTED else f"{rate:.0f}"
            section.say(kind, given, str(len(moments)), f"{speed:.1f}", str(most))
            if rate > WANTED:
                reached = speed >= WANTED
                section.judge(
                    kind, "texts a second", f"{speed:.0f}", f"at least {WANTED:.0f}", reached
                )
            else:
                section.judge(
                    kind,
                    "texts in any one second at a rate of 20",
                    str(most),
                    f"at most {WANTED:.0f}",
                    most <= WANTED,
                )
    return section


def _sent(kind: str, rate: float) -> list[float]:
    """Return when each text was taken, in seconds of a clock that never jumps."""
    moments: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        serving.database(kind) as url,
        twilio_server.playing(Path(folder) / "texts.jsonl") as twilio,
    ):
        twilio.on_read = lambda: moments.append(time.monotonic())
        with serving.room(url):
            _ask_for_help()
        environment = os.environ | {
            "EMERGE_ENV": "test",
            "ALLOWED_NUMBERS": ",".join(map(_number, range(TEXTS))),
            "DATABASE_URL": url,
            "SECRET_KEY": "a-secret-for-tests-only-0123456789abcdef",
            "EMERGE_KEYS": databases.KEYS,
            "PUBLIC_URL": PUBLIC,
            "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio_server.TOKEN,
            "TWILIO_MESSAGING_SERVICE_SID": twilio_server.SERVICE,
            "TWILIO_API_URL": twilio.url,
            "TEXTS_PER_SECOND": str(rate),
        }
        worker = subprocess.Popen(WORKER, cwd=serving.ROOT, env=environment, stdout=sys.stderr)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while len(twilio.out()) < TEXTS and time.monotonic() < deadline:
                if worker.poll() is not None:
                    raise RuntimeError("the worker ended by itself; its words are above")
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(timeout=PATIENCE_S)
    if len(moments) < TEXTS:
        raise RuntimeError(f"only {len(moments)} of {TEXTS} texts left in {PATIENCE_S} s")
    return moments


def _ask_for_help() -> None:
    """Let as many people text HELP, and let it be proved that texts reach us."""
    now = clock.now()
    with transaction():
        make.two_sites()  # HELP is answered with a clinic's number
        db.session.add(InboundRoute(url=addresses.inbound(PUBLIC), verified_at=now))
        for number in range(TEXTS):
            answer.take_in(
                provider_ref=f"SM{number:032x}", number=_number(number), body="HELP", now=now
            )


def _number(place: int) -> str:
    return f"+1617230{place:04}"


def _most_in_a_second(moments: list[float]) -> int:
    assert all(a <= b for a, b in pairwise(moments))
    return max(sum(since <= m < since + 1 for m in moments) for since in moments)
