"""The words of a message: shipped files, a closed list of names, the patient's language.

A file under templates/messages/ is the English text and, whole, the key under which
translations/<language>/LC_MESSAGES/texts.po holds the others. There is no template language in
it: `{when}` and its kind are put in, and any other brace is an error.

What a text may say comes from facts, which are plain words so that they can wait in a row:

    starts_at   a moment, ISO with offset        -> {when}, on the wall of `zone`
    until       a moment: how long it stands     -> {until}, likewise
    zone        an IANA zone                     -> {zone}, as people call it
    site        the site's name                  -> {site}
    address     where to come; absent for a call -> {place}, else "We will call you."
    phone       E.164                            -> {phone}
    words       what staff wrote                 -> {words}
    initial     the first letter of their name   -> {initial}
    visits      JSON: [[starts_at, zone, site or ""], ...] -> {dates}, as many as fit two parts;
                a fourth word, "cancelled" or "closed", says what became of one
    (a link)    `ready`, what is asked before a visit -> {before}, nothing when there is none
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton
from babel.messages.pofile import read_po

from scheduler.core.phone import shown
from scheduler.core.words import clock_words
from scheduler.messaging.gsm import MOST_PARTS, cost, fit

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "templates" / "messages"
TRANSLATIONS = ROOT / "translations"
CLINIC = "Emerge Wellness"
DEFAULT_ZONE = "America/New_York"
LOCALES: Mapping[str, str] = {"en": "en_US", "es": "es_US", "pt_BR": "pt_BR"}
#: Queued under a name that has no words of its own: the judge says at the last moment which fit.
CHOSEN_LATE = frozenset({"changed", "cancelled"})

_NAME = re.compile(r"\{([^{}]*)\}")
_MASK = "[link]"


class NoSuchText(LookupError):
    """There is no shipped text of this name."""


class Unfinished(ValueError):
    """A text asks for something that was not given, or has a brace that means nothing."""


@dataclass(frozen=True)
class Words:
    """A message in words. `kept` is the body as it may be stored: secret links masked."""

    subject: str | None
    body: str
    kept: str
    version: str


@cache
def shipped(template: str) -> str:
    """Return the English text of a template, as its file has it.

    Raises:
        NoSuchText: there is no such file.
    """
    path = FOLDER / f"{template}.txt"
    if not re.fullmatch(r"[A-Za-z_-]+(/[A-Za-z_-]+)?", template) or not path.is_file():
        raise NoSuchText(template)
    return path.read_text(encoding="utf-8").rstrip("\n")


def names() -> list[str]:
    """Return the names of all shipped texts, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def ready() -> list[str]:
    """Return the names of the ready answers, in order."""
    return sorted(f"ready/{path.stem}" for path in (FOLDER / "ready").glob("*.txt"))


@cache
def _catalog(language: str) -> dict[str, str]:
    path = TRANSLATIONS / language / "LC_MESSAGES" / "texts.po"
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        catalog = read_po(file, locale=LOCALES[language])
    return {
        str(entry.id): str(entry.string)
        for entry in catalog
        if entry.id and entry.string and not entry.fuzzy
    }


def written(template: str, language: str) -> str:
    """Return a template's text in a language; in English where no translation stands.

    Raises:
        NoSuchText: there is no such file.
    """
    english = shipped(template)
    if language not in LOCALES or language == "en":
        return english
    return _catalog(language).get(english, english)


def version(template: str, language: str) -> str:
    """Return which wording this is: the first of its hash, so that a change shows in the row."""
    if template in CHOSEN_LATE:
        return "late"
    return f"shipped:{_print(written(template, language))}"


def _print(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def when(moment: datetime, zone: ZoneInfo, language: str) -> str:
    """Return a moment as people say it, on the wall of `zone`: "Tue, Mar 3, 10:45 AM"."""
    locale = LOCALES.get(language, LOCALES["en"])
    wall = moment.astimezone(zone)
    day = format_skeleton("MMMEd", wall, locale=locale)
    return f"{day}, {clock_words(wall.time(), language)}"


def phrase(name: str, language: str, facts: Mapping[str, str]) -> str:
    """Return a ready answer or a part of a sentence with its facts put in.

    Raises:
        NoSuchText: there is none of this name.
        Unfinished: it names something that the facts do not give.
    """
    return _fill(written(name, language), _given(language, facts))


def render(
    template: str,
    language: str,
    facts: Mapping[str, str],
    links: Mapping[str, str],
    *,
    words: str | None = None,
) -> Words:
    """Put facts and links into the shipped words, or into others given for them.

    Raises:
        NoSuchText: there is no such text.
        Unfinished: the text names something that facts and links do not give.
    """
    text = words or written(template, language)
    named = version(template, language) if words is None else f"own:{_print(words)}"
    given = _given(language, facts)
    visits = json.loads(facts["visits"]) if facts.get("visits") else []
    for shown_visits in range(len(visits), 0, -1):
        given["dates"] = _dates(visits, shown_visits, language)
        made = _finish(named, text, given, links, language)
        if made.subject or cost(made.body).parts <= MOST_PARTS:
            return made
    made = _finish(named, text, given, links, language)
    if not made.subject and cost(made.body).parts > MOST_PARTS and facts.get("site"):
        given["place"] = facts["site"]  # a long address: the site's name has to do
        made = _finish(named, text, given, links, language)
    return made


def _finish(
    named: str, text: str, given: Mapping[str, str], links: Mapping[str, str], language: str
) -> Words:
    head, _, rest = text.partition("\n\n")
    has_subject = head.startswith("Subject: ")
    subject = _fill(head.removeprefix("Subject: "), given) if has_subject else None
    body = rest if has_subject else text
    full = _fill(body, {**given, **links, "before": _before(links, language)})
    masked = dict.fromkeys(links, _MASK)
    kept = _fill(body, {**given, **masked, "before": _before(masked, language)})
    # "a.m." at the end of a sentence is followed by no second full stop.
    full, kept = (re.sub(r"(?<=\w)\.\.(?=\s|$)", ".", words) for words in (full, kept))
    if not has_subject:
        full, kept = fit(full), fit(kept)
    return Words(subject, full, kept, named)


def _before(links: Mapping[str, str], language: str) -> str:
    if "ready" not in links:
        return ""
    return _fill(written("phrases/before", language), links) + " "


def _dates(visits: list[list[str]], count: int, language: str) -> str:
    """Say the first `count` of some visits, a site once for those that follow one another there.

    "Mon, Mar 16, 10:00 AM; Wed, Mar 18, 10:00 AM, Woburn; and 4 more".
    """
    said = []
    for index, (starts_at, zone, site, *became) in enumerate(visits[:count]):
        moment = when(datetime.fromisoformat(starts_at), ZoneInfo(zone), language)
        if became and became[0]:
            moment = _fill(written(f"phrases/{became[0]}", language), {"date": moment})
        is_last_there = index + 1 == count or visits[index + 1][2] != site
        said.append(f"{moment}, {site}" if site and is_last_there else moment)
    if count < len(visits):
        more = written("phrases/and-more", language)
        said.append(_fill(more, {"count": str(len(visits) - count)}))
    return "; ".join(said)


def _given(language: str, facts: Mapping[str, str]) -> dict[str, str]:
    given = {"clinic": CLINIC}
    zone = facts.get("zone") or DEFAULT_ZONE
    if facts.get("starts_at"):
        given["when"] = when(datetime.fromisoformat(facts["starts_at"]), ZoneInfo(zone), language)
        try:
            given["zone"] = written(f"phrases/{zone.replace('/', '-')}", language)
        except NoSuchText:
            given["zone"] = zone
    if facts.get("until"):
        given["until"] = when(datetime.fromisoformat(facts["until"]), ZoneInfo(zone), language)
    if facts.get("phone"):
        given["phone"] = shown(facts["phone"])
    for plain_name in ("site", "words", "initial"):
        if facts.get(plain_name):
            given[plain_name] = facts[plain_name]
    if "initial" in given and not cost(fit(given["initial"])).is_short_alphabet:
        given["initial"] = written("phrases/one-of-you", language)  # else it takes three parts
    address = facts.get("address")
    given["place"] = (
        ", ".join(part for part in (facts.get("site"), address) if part)
        if address
        else written("phrases/by-phone", language)
    )
    return given


def _fill(text: str, given: Mapping[str, str]) -> str:
    def word(match: re.Match[str]) -> str:
        try:
            return given[match[1]]
        except KeyError:
            raise Unfinished(f"{{{match[1]}}} was not given") from None

    if re.search(r"[{}]", _NAME.sub("", text)):
        raise Unfinished("a brace stands alone")
    return _NAME.sub(word, text)
