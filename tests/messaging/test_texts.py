"""What people will read, to the letter, and what it may not say."""

import json
import os
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_time

from scheduler.core.words import clock_words
from scheduler.messaging import gsm, lint, texts

#: How many sets of facts by lot each text is tried with.
INVENTED = 500 if os.environ.get("EMERGE_PROVE") else 12
SNAPSHOTS = Path(__file__).resolve().parents[1] / "snapshots" / "messages"
NAMES = texts.names()
LANGUAGES = ["en", "es", "pt_BR"]
LINK = "https://appointments.emergewellness.example/my/" + "k3_Z" * 8
#: What is asked before a visit; the words are looked at as they are when there is something.
LINKS = {"link": LINK, "ready": f"{LINK}/ready"}
FACTS = {
    "starts_at": "2026-03-03T15:45:00+00:00",
    "until": "2026-03-02T17:00:00+00:00",
    "zone": "America/New_York",
    "site": "Woburn",
    "phone": "+17815550134",
    "address": "1 Main Street, Woburn, MA 01801",
    "initial": "J",
    "words": "Please come in by the door at the back.",
    "visits": json.dumps(
        [
            ["2026-03-03T15:45:00+00:00", "America/New_York", "Woburn"],
            ["2026-03-05T15:45:00+00:00", "America/New_York", "Woburn"],
            ["2026-03-10T14:00:00+00:00", "America/New_York", "Danvers", ""],
        ]
    ),
}


#: What somebody who books online could type where a name is asked for. No text may carry it.
TYPED = "You won! Go to evil.example"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_the_words_are_the_ones_that_were_looked_at(name: str, language: str) -> None:
    words = texts.render(name, language, FACTS, LINKS)
    said = f"{words.subject}\n\n{words.body}" if words.subject else words.body
    path = SNAPSHOTS / f"{name}.{language}.txt"

    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(said + "\n", encoding="utf-8")

    assert path.read_text(encoding="utf-8") == said + "\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_ready_answers_are_the_ones_that_were_looked_at(language: str) -> None:
    said = []
    for name in texts.ready():
        words = texts.phrase(name, language, FACTS)
        body = texts.render("answer", language, FACTS | {"words": words}, {}).body
        assert lint.faults(body, template="answer", is_text=True) == []
        said.append(f"{name.removeprefix('ready/')}: {words}")
    path = SNAPSHOTS / f"ready.{language}.txt"

    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text("\n".join(said) + "\n", encoding="utf-8")

    assert path.read_text(encoding="utf-8").splitlines() == said


def test_no_picture_is_left_of_a_text_that_is_gone() -> None:
    assert {path.stem.rsplit(".", 1)[0] for path in SNAPSHOTS.glob("*.txt")} == {*NAMES, "ready"}


def _invented(most: int) -> Iterator[dict[str, str]]:
    """Facts by lot: names, sites, zones and moments as they come."""
    dice = random.Random(21)  # the same on every machine
    zones = ("America/New_York", "America/Los_Angeles", "America/Puerto_Rico", "Asia/Tokyo")
    for _ in range(most):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * dice.randrange(70_000))
        site = dice.choice(("Woburn", "Danvers", "North Reading", "St. John's Wood"))
        days = [moment + timedelta(days=3 * n) for n in range(dice.randrange(1, 13))]
        yield FACTS | {
            "starts_at": moment.isoformat(),
            "until": (moment - timedelta(hours=dice.randrange(1, 30))).isoformat(),
            "zone": dice.choice(zones),
            "site": site,
            "address": f"{dice.randrange(1, 999)} {dice.choice(('Mill', 'Harbor'))} Road, {site}",
            "initial": dice.choice("ABCÉÑØŽ李"),
            **dict.fromkeys(("given", "family", "note"), TYPED),
            "visits": json.dumps([[day.isoformat(), dice.choice(zones), site] for day in days]),
        }


def _hardest() -> Iterator[dict[str, str]]:
    """The longest facts there are: every weekday, a long month, both sites, late and early."""
    first = datetime(2026, 9, 20, 13, 45, tzinfo=UTC)
    visits = [
        [(first + timedelta(days=n)).isoformat(), "America/New_York", ("Woburn", "Danvers")[n % 2]]
        for n in range(12)
    ]
    for day in range(14):
        for hour in (0, 9):
            yield FACTS | {
                "starts_at": (first + timedelta(days=day, hours=hour)).isoformat(),
                "until": (first + timedelta(days=day, hours=hour - 22)).isoformat(),
                "site": "Danvers",
                "visits": json.dumps(visits),
            }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_no_text_says_too_much_or_takes_more_than_two_parts(name: str, language: str) -> None:
    for facts in (*_hardest(), *_invented(INVENTED)):
        words = texts.render(name, language, facts, LINKS)

        wrong = lint.faults(
            words.body,
            template=name,
            is_text=words.subject is None,
            subject=words.subject,
            site=facts["site"],
            address=facts["address"],
            links=LINKS.values(),
        )

        assert wrong == []
        assert "evil" not in words.body


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_holds_no_link_and_no_list_takes_one_part_of_the_short_alphabet(language: str) -> None:
    for name in NAMES:
        text = texts.written(name, language)
        if re.search(r"\{(link|ready|dates|words|place)\}|^Subject: ", text):
            continue
        for facts in _hardest():
            body = texts.render(name, language, facts, {}).body
            cost = gsm.cost(body)
            assert cost.parts == 1 or not cost.is_short_alphabet, body


@pytest.mark.parametrize("name", NAMES)
def test_english_never_needs_the_long_alphabet(name: str) -> None:
    words = texts.render(name, "en", FACTS, LINKS)

    assert gsm.cost(words.body).is_short_alphabet


@pytest.mark.parametrize("language", ["es", "pt_BR"])
def test_every_text_has_a_translation_with_the_same_names(language: str) -> None:
    phrases = [f"phrases/{path.stem}" for path in (texts.FOLDER / "phrases").glob("*.txt")]

    for name in [*NAMES, *texts.ready(), *phrases]:
        english, translated = texts.shipped(name), texts.written(name, language)
        assert translated != english, name
        assert set(re.findall(r"\{\w+\}", translated)) == set(re.findall(r"\{\w+\}", english)), name


def test_moments_are_said_in_the_readers_form_on_the_sites_wall() -> None:
    moment = datetime(2026, 3, 3, 15, 45, tzinfo=UTC)
    zone = ZoneInfo("America/New_York")

    assert texts.when(moment, zone, "en") == "Tue, Mar 3, 10:45 AM"
    assert texts.when(moment, zone, "es") == "mar, 3 de mar, 10:45 a.m."
    assert texts.when(moment, zone, "pt_BR") == "ter., 3 de mar., 10:45"
    for hour in range(24):
        for language, locale in texts.LOCALES.items():
            said = format_time(time(hour, 5), "short", locale=locale).replace("\u202f", " ")
            assert clock_words(time(hour, 5), language) == said


def test_a_secret_link_is_not_in_what_is_kept() -> None:
    words = texts.render("visit-booked", "en", FACTS, {"link": LINK})

    assert LINK in words.body
    assert LINK not in words.kept
    assert "[link]" in words.kept


def test_a_text_that_lacks_a_fact_is_not_made() -> None:
    with pytest.raises(texts.Unfinished):
        texts.render("visit-booked", "en", {"phone": "+17815550134"}, {"link": LINK})


@pytest.mark.parametrize("name", ["../invite", "no-such", "", "phrases/../invite", "a.b"])
def test_only_shipped_texts_are_found(name: str) -> None:
    with pytest.raises(texts.NoSuchText):
        texts.shipped(name)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("your ketamine infusion", ["ketamine", "infusion"]),
        ("su tratamiento", ["tratamiento"]),
        ("tratamento da dor", ["tratamento", "dor"]),
        ("Pain clinic", ["pain"]),
        ("an IV at 9", ["iv"]),
        ("It costs $40", ["$"]),
        ("1 Ivy Street, Painter's Mill", ["painter"]),
        ("see you Tue, Mar 3, 10:45 AM, Woburn", []),
    ],
)
def test_words_that_tell_why_somebody_comes_are_found(said: str, found: list[str]) -> None:
    assert lint.telling(said) == found


def test_a_sentence_that_wants_a_space_is_no_link_and_ours_is_none_that_leads_elsewhere() -> None:
    said = f"See you at 10:45 a.m.Please come in.Park at No.5, 10.30 is fine. {LINK}/ready {LINK}."

    assert lint.leads_to(said, but=LINKS.values()) == []
    assert lint.leads_to("www.evil.example, EVIL.COM; x://y") == [
        "www.evil.example",
        "EVIL.COM",
        "x://y",
    ]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("Hello. STOP", "does not begin with who we are"),
        ("Emerge Wellness: see you {when}. STOP", "a name was left unfilled"),
        ("Emerge Wellness: see you.", "does not say how to stop"),
        ("Emerge Wellness: https://bit.ly/x STOP", "leads elsewhere: https://bit.ly/x; only"),
        ("Emerge Wellness: see Bit.ly/x STOP", "leads elsewhere: Bit.ly/x; only"),
        (f"Emerge Wellness: see evil.example/?{LINK} STOP", "leads elsewhere: evil.example/; "),
        (f"Emerge Wellness: see {LINK}@evil.example STOP", "leads elsewhere: evil.example; only"),
        ("Emerge Wellness: write to us@evil.example. STOP", "leads elsewhere: us@evil.example; "),
        ("Emerge Wellness: " + "word " * 70 + "STOP", "takes 3 parts"),
        ("Emerge Wellness: see https://clinic.example/ketamine/x STOP", "says too much: ketamine"),
    ],
)
def test_the_lint_names_the_fault(body: str, fault: str) -> None:
    wrong = lint.faults(body, template="call-booked", is_text=True, links=[LINK])
    assert any(one.startswith(fault) for one in wrong), wrong


def test_a_text_about_a_visit_names_its_site() -> None:
    body = "Emerge Wellness: see you. Reply 1 or 2. STOP"

    assert lint.faults(body, template="visit-soon", is_text=True, site="Danvers") == [
        "does not name the site"
    ]


def test_a_subject_that_runs_on_into_the_head_of_the_mail_is_unfit() -> None:
    subject = "your appointment\nBcc: somebody"

    assert lint.faults("See you.", template="invite", is_text=False, subject=subject) == [
        "needs an empty line after its subject"
    ]
