"""The clinic's own words for a message, in place of the shipped ones.

Rows are added and never changed: the newest of a template and language is in force, and one
without words puts the shipped text back. They are plain text with a closed list of `{names}`,
judged when saved and again whenever one goes out; if they are unfit then, the shipped text goes
in their place, for a patient must not miss a visit over a clumsy sentence.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from scheduler.audit import service as audit
from scheduler.clinic.models import Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound, Stale
from scheduler.core.words import writing
from scheduler.messaging import gsm, lint, texts
from scheduler.messaging.gsm import Cost
from scheduler.messaging.models import TextVersion
from scheduler.messaging.texts import Words

log = logging.getLogger(__name__)

#: Words that are the same for every clinic: help in danger, and the frame of what staff write.
FIXED = frozenset({"emergency", "answer"})
#: What each name stands for, as staff read it.
MEANING: Mapping[str, str] = {
    "clinic": "our name",
    "when": "day and time",
    "zone": "the time zone, in words",
    "site": "the clinic of the visit",
    "place": "where to come, or that we call",
    "phone": "the number to call",
    "link": "the private link",
    "dates": "every date that stands",
    "before": "what to answer before the visit, when something is asked",
    "ready": "the private link to what is asked before the visit",
    "initial": "the first letter of what they like to be called",
    "until": "how long an offered time is kept",
}
_ALWAYS = frozenset({"clinic", "phone"})
_MUST_STAY = frozenset({"when", "dates", "site", "before", "ready"})
_LONGEST = 1600
_NAME = re.compile(r"\{([^{}]*)\}")
#: A short and a long day to try words on; the months and weekdays that take the most letters.
_ORDINARY = datetime(2026, 3, 3, 15, 45, tzinfo=UTC)
_LONG = datetime(2026, 9, 30, 16, 45, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """What somebody would read, and what it costs to send."""

    site: str
    words: Words
    cost: Cost
    letters: int
    long_letters: str  # those that make it travel in the long alphabet


@dataclass(frozen=True)
class Looked:
    """Words tried on every site: what they would look like, and what is wrong with them."""

    samples: Sequence[Sample]
    faults: Sequence[str]

    @property
    def longest(self) -> Sample | None:
        """Return the one that takes the most."""
        return max(self.samples, key=lambda s: (s.cost.parts, s.letters), default=None)


def in_force(template: str, language: str) -> TextVersion | None:
    """Return the newest version of a text, or None when it was never changed."""
    return db.session.scalar(
        select(TextVersion)
        .where(TextVersion.template == template, TextVersion.language == language)
        .order_by(TextVersion.id.desc())
        .limit(1)
    )


def wording(template: str, language: str) -> str:
    """Return the words in force: the clinic's own, else the shipped ones.

    Raises:
        NotFound: there is no text of this name, or we do not write this language.
    """
    _insist(template, language)
    row = in_force(template, language)
    return row.words if row and row.words else texts.written(template, language)


def changed() -> set[tuple[str, str]]:
    """Return each (template, language) whose own words are in force."""
    newest = {
        (row.template, row.language): row.words
        for row in db.session.scalars(select(TextVersion).order_by(TextVersion.id))
    }
    return {key for key, words in newest.items() if words}


def history(template: str, language: str) -> Sequence[TextVersion]:
    """Return every version of a text, newest first."""
    return db.session.scalars(
        select(TextVersion)
        .where(TextVersion.template == template, TextVersion.language == language)
        .order_by(TextVersion.id.desc())
    ).all()


def names_of(template: str) -> list[str]:
    """Return the names that may stand in a text, in braces."""
    shipped = set(_NAME.findall(texts.shipped(template)))
    about_a_time = {"zone"} if "when" in shipped else set()
    about_a_place = {"place"} if "site" in shipped else set()
    return sorted(shipped | _ALWAYS | about_a_time | about_a_place)


def look(template: str, language: str, words: str, *, public_url: str) -> Looked:
    """Try words on every site, on an ordinary day and on the longest there is.

    Raises:
        NotFound: there is no text of this name, or we do not write this language.
    """
    _insist(template, language)
    found = set(_NAME.findall(words))
    shipped = texts.shipped(template)
    must = _MUST_STAY & set(_NAME.findall(shipped))
    wrong = [f"does not know the name {{{name}}}" for name in sorted(found - {*names_of(template)})]
    wrong += [f"leaves out {{{name}}}, {MEANING[name]}" for name in sorted(must - found)]
    if re.search(r"[{}]", _NAME.sub("", words)):
        wrong.append("has a brace that means nothing")
    if shipped.startswith("Subject: ") != words.startswith("Subject: "):
        wrong.append("needs its first line “Subject: …” as it was")
    if wrong:
        if said := lint.telling(_NAME.sub(" ", words)):
            wrong.append(f"says too much: {', '.join(sorted(set(said)))}")
        return Looked([], wrong)
    samples = []
    links = _links(public_url)
    for site, facts in _facts():
        try:
            made = texts.render(template, language, facts, links, words=words)
        except texts.Unfinished as unfinished:
            return Looked([], [f"cannot be tried: {unfinished}"])
        samples.append(
            Sample(
                site.name,
                made,
                gsm.cost(made.body),
                len(made.body),
                gsm.long_letters(made.body),
            )
        )
        wrong += lint.faults(
            made.body,
            template=template,
            is_text=made.subject is None,
            subject=made.subject,
            site=facts["site"],
            address=facts["address"],
            links=links.values(),
        )
    return Looked(samples, list(dict.fromkeys(wrong)))


def _links(public_url: str) -> dict[str, str]:
    link = f"{public_url}/my/{'k' * 32}"
    return {"link": link, "ready": f"{link}/ready"}


def save(
    template: str,
    language: str,
    words: str,
    *,
    seen: int,
    public_url: str,
    actor: str,
    now: datetime,
) -> None:
    """Put the clinic's own words in force, from the next message on.

    Args:
        seen: The id of the version the page showed, 0 for the shipped words.

    Raises:
        Invalid: the words are unfit, or these must stay as they are; for the field "words".
        NotFound: there is no text of this name, or we do not write this language.
        Stale: somebody else has changed them since.
    """
    said = writing(words)
    if template in FIXED:
        raise Invalid("These words are the same everywhere and cannot be changed.", field="words")
    if not said or len(said) > _LONGEST:
        raise Invalid("Write between 1 and 1,600 letters.", field="words")
    looked = look(template, language, said, public_url=public_url)
    if looked.faults:
        raise Invalid(f"This text {'; it '.join(looked.faults)}.", field="words")
    _add(template, language, said, seen=seen, actor=actor, now=now)


def put_back(template: str, language: str, *, seen: int, actor: str, now: datetime) -> None:
    """Put the shipped words back in force.

    Raises:
        NotFound: there is no text of this name, or we do not write this language.
        Stale: somebody else has changed them since.
    """
    _insist(template, language)
    _add(template, language, None, seen=seen, actor=actor, now=now)


def render(
    template: str, language: str, facts: Mapping[str, str], links: Mapping[str, str]
) -> Words:
    """Put facts and links into the words in force; into the shipped ones where ours are unfit.

    Raises:
        NoSuchText: there is no such text.
        Unfinished: the shipped text names something that facts and links do not give.
    """
    row = in_force(template, language)
    if row is not None and row.words and template not in FIXED:
        try:
            made = texts.render(template, language, facts, links, words=row.words)
        except texts.Unfinished:
            made = None
        if made is not None and not lint.faults(
            made.body,
            template=template,
            is_text=made.subject is None,
            subject=made.subject,
            site=facts.get("site", ""),
            address=facts.get("address", ""),
            links=links.values(),
        ):
            return made
        log.warning("version %s of a text is unfit for what it is to say: shipped words", row.id)
    return texts.render(template, language, facts, links)


def _add(
    template: str, language: str, words: str | None, *, seen: int, actor: str, now: datetime
) -> None:
    newest = in_force(template, language)
    if (newest.id if newest else 0) != seen:
        raise Stale("Somebody else has changed this text since you opened it.", field="words")
    row = TextVersion(
        template=template, language=language, after_id=seen, words=words, author=actor, at=now
    )
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError:
        raise Stale("Somebody else is changing this text right now.", field="words") from None
    audit.record(
        "text.changed" if words else "text.put-back",
        f"message-text:{template}:{language}",
        actor=actor,
        now=now,
        version=row.id,
    )


def _insist(template: str, language: str) -> None:
    if template not in texts.names() or language not in texts.LOCALES:
        raise NotFound("There is no such text.")


def _facts() -> Iterator[tuple[Site, dict[str, str]]]:
    """Yield every site with an ordinary and a long set of facts."""
    for site in db.session.scalars(select(Site).order_by(Site.id)):
        for moment in (_ORDINARY, _LONG):
            days = [moment + timedelta(days=2 * n) for n in range(6)]
            visits = [[day.isoformat(), site.zone_name, site.name] for day in days]
            yield (
                site,
                {
                    "starts_at": moment.isoformat(),
                    "zone": site.zone_name,
                    "site": site.name,
                    "address": site.address,
                    "phone": site.phone,
                    "visits": json.dumps(visits),
                    "until": (moment + timedelta(hours=2)).isoformat(),
                    "initial": "M",
                    "words": "Please come in by the door at the back.",
                },
            )
