"""What a message must and must not say, checked for every shipped text and again when sent."""

import re
from collections.abc import Iterable

from scheduler.core.words import plain
from scheduler.messaging import rules
from scheduler.messaging.gsm import MOST_PARTS, cost
from scheduler.messaging.texts import CLINIC

#: Beginnings of words that tell why somebody comes, in the languages we write.
_TELLING_START = re.compile(
    r"\b(addict|anaesth|anest|antidepress|anxi|ansied|arthrit|biolog|bipolar|cancer|carpal|causalg"
    r"|chemo|chronic|cronic|crps|depress|diabet|diagnos|disorder|doctor|dolor|dose|dosis|dosag"
    r"|dorid|drip|droga|drug|endometri|enferm|esketa|fibrom|herpe|hormon|illness|infus|injec"
    r"|intraven|ketam|medic|mental|migrain|nerv|neuralg|neuro|nurse|opioid|pain|patholog|physician"
    r"|postherp|prescri|proced|psych|psiq|psiqu|receta|rehab|remedio|scleros|sedat|shingles|sick"
    r"|sintom|spasm|surg|sympt|terapi|therap|transfus|trastorn|tratam|treat|trauma|zoster)"
)
#: Whole words that do.
_TELLING_WORDS = frozenset({"dor", "dores", "iv", "ms", "ptsd", "fee", "price", "balance", "pay"})
_STOP_IS_SAID = re.compile(r"\bSTOP\b")
#: What a phone makes a link or a mail address of. "Today.Please" is a sentence that wants a space.
#: Bounded, so that no text takes long to look over.
_LEADS = re.compile(
    r"\w{0,20}://\S*"
    r"|\w[\w@+-]{0,63}(?:\.[\w-]{1,63}){0,4}\.(?:[a-z]{2,24}|[A-Z]{2,24})(?!\w)(?:[/:?#]\S*)?"
)
_ENDS_A_SENTENCE = ".,;:!?)”\"'"

#: Texts about one site: they name it.
_OF_A_SITE = ("visit-", "call-", "all-cancelled")
#: Texts that may leave out how to stop: answers to somebody who just wrote.
_NEED_NO_STOP = rules.REPLIES - {"started", "help"}


def telling(text: str) -> list[str]:
    """Return the words of `text` that say more than that somebody has an appointment.

    The rule holds for anything that leaves the building: texts, mails, calendar entries, file
    and host names, addresses.
    """
    words = re.findall(r"[a-z0-9$]+", plain(text))
    found = [w for w in words if w in _TELLING_WORDS or _TELLING_START.match(w)]
    return found + (["$"] if "$" in text else [])


def leads_to(text: str, *, but: Iterable[str] = ()) -> list[str]:
    """Return what a phone would turn into a link or a mail address, except what is given."""
    for known in sorted(but, key=len, reverse=True):
        text = text.replace(known, " ") if known else text
    return list(dict.fromkeys(one.rstrip(_ENDS_A_SENTENCE) for one in _LEADS.findall(text)))


def faults(
    body: str,
    *,
    template: str,
    is_text: bool,
    subject: str | None = None,
    site: str = "",
    address: str = "",
    links: Iterable[str] = (),
) -> list[str]:
    """Return everything that is wrong with a finished message, in words; nothing when it is fit.

    The site's postal `address` is not judged: a house in Medical Park Drive stands where it does.
    `links` are our own, put in for the reader; no other may stand in a message.
    """
    wrong = []
    spoken = re.sub(r"(https?://[^/\s]+)(/\S*)?", _address_words, body)
    if address:
        spoken = spoken.replace(address, " ")
    if said := telling(f"{subject or ''} {spoken}"):
        wrong.append(f"says too much: {', '.join(sorted(set(said)))}")
    if re.search(r"[{}]", f"{subject or ''}{body}"):
        wrong.append("a name was left unfilled")
    if template.startswith(_OF_A_SITE) and (not site or site not in body):
        wrong.append("does not name the site")
    if elsewhere := leads_to(f"{subject or ''} {body}", but=[*links, address, site]):
        wrong.append(
            f"leads elsewhere: {', '.join(elsewhere)}; only the patient's own link may stand in it"
        )
    if not is_text:
        if len((subject or "").splitlines()) > 1:
            wrong.append("needs an empty line after its subject")
        return wrong if subject else [*wrong, "has no subject"]
    return wrong + _text_faults(body, template)


def _text_faults(body: str, template: str) -> list[str]:
    wrong = []
    if not body.startswith(f"{CLINIC}:"):
        wrong.append("does not begin with who we are")
    if template not in _NEED_NO_STOP and not _STOP_IS_SAID.search(body):
        wrong.append("does not say how to stop")
    if template in rules.ASKING and not re.search(r"\b1\b.*\b2\b", body):
        wrong.append("does not ask for 1 or 2")
    if cost(body).parts > MOST_PARTS:
        wrong.append(f"takes {cost(body).parts} parts")
    return wrong


def _address_words(match: re.Match[str]) -> str:
    """Leave of an address what a person can read: its host and its words, not its secret."""
    path = (match[2] or "").split("/")
    return " ".join([match[1], *(part for part in path if len(part) < 20)])
