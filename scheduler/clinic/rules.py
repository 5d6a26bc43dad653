"""What makes sense of a supply, in words for whoever typed it."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta

from scheduler.core.errors import Invalid

#: What a person may do, and how the pages say it.
SKILLS = {
    "nurse": "Start and watch visits",
    "calls": "Hold consultation calls",
    "chats": "Hold follow-up chats",
    "approve-plans": "Approve plans",
}
MOST_LANES = 12
LONGEST_REASON = 120
LONGEST_NAME = 80
LONGEST_ADDRESS = 200
BETWEEN_SITES = timedelta(minutes=60)
STEP_MINUTES = 5


def check_name(text: str, *, field: str = "name") -> str:
    """Return a name as it is kept.

    Raises:
        Invalid: there is none, or it is longer than any page shows.
    """
    text = " ".join(text.split())
    if not text:
        raise Invalid("Enter a name.", field=field)
    if len(text) > LONGEST_NAME:
        raise Invalid(f"Use at most {LONGEST_NAME} letters.", field=field)
    return text


def check_address(text: str) -> str:
    """Return an address as it is kept.

    Raises:
        Invalid: there is none, or it is longer than any text or page has room for.
    """
    text = " ".join(text.split())
    if not text:
        raise Invalid("Enter the address patients come to.", field="address")
    if len(text) > LONGEST_ADDRESS:
        raise Invalid(f"Use at most {LONGEST_ADDRESS} letters.", field="address")
    return text


def check_reason(text: str, *, field: str = "reason") -> str:
    """Return a reason as it is kept: colleagues read it beside each appointment it hits.

    Raises:
        Invalid: there is none, or it is too long.
    """
    text = " ".join(text.split()).rstrip(".")
    if not text:
        raise Invalid("Say why in a word or two, like “Snow”.", field=field)
    if len(text) > LONGEST_REASON:
        raise Invalid(f"Use at most {LONGEST_REASON} letters.", field=field)
    return text


def check_span(starts_at: datetime, ends_at: datetime, *, now: datetime) -> None:
    """Refuse a span that is empty, over, or longer than two years.

    Raises:
        Invalid: it is one of these; says which.
    """
    if ends_at <= starts_at:
        raise Invalid("The end must come after the beginning.", field="until_day")
    if ends_at <= now:
        raise Invalid("That is over already.", field="until_day")
    if ends_at - starts_at > timedelta(days=732):
        raise Invalid("That is longer than two years. Is the year right?", field="until_day")


def check_hours(opens: time, closes: time, *, first: str, last: str) -> None:
    """Refuse hours that end before they begin, or stand on no step of five minutes.

    Raises:
        Invalid: says which, at the field called `first` or `last`.
    """
    for wall, name in ((opens, first), (closes, last)):
        if wall.minute % STEP_MINUTES or wall.second or wall.microsecond:
            raise Invalid("Use steps of five minutes, like 8:05 AM.", field=name)
    if closes <= opens:
        raise Invalid("The end must come after the beginning.", field=last)


def check_validity(since: date, until: date | None) -> None:
    """Refuse a last day before the first.

    Raises:
        Invalid: it is.
    """
    if until is not None and until < since:
        raise Invalid("The last day is before the first.", field="valid_until")


def check_weekdays(weekdays: Collection[int], since: date, until: date | None) -> None:
    """Refuse a short period that holds none of its weekdays: nothing would ever come of it.

    Raises:
        Invalid: it does not.
    """
    if until is None or until - since >= timedelta(days=6):
        return
    days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
    if not {day.weekday() for day in days} & set(weekdays):
        raise Invalid(
            f"That day is a {since:%A}. Choose that day of the week, or another date."
            if since == until
            else "None of these days of the week lies in that time.",
            field="weekdays",
        )


def check_lanes(count: int, *, field: str = "lanes") -> None:
    """Refuse a number at the same time that no person or site has.

    Raises:
        Invalid: below one or above twelve.
    """
    if not 1 <= count <= MOST_LANES:
        raise Invalid(f"Choose a number from 1 to {MOST_LANES}.", field=field)


def check_skill(skill: str | None, *, field: str) -> str | None:
    """Return a skill that a service may ask for; None asks for none.

    Raises:
        Invalid: nobody can have it.
    """
    if skill is not None and skill not in SKILLS:
        raise Invalid("Choose from the list.", field=field)
    return skill


def far_enough(a: tuple[time, time], b: tuple[time, time], *, same_site: bool) -> bool:
    """Say whether one person can work both on one day: apart, and an hour between two sites."""
    (first, later) = sorted((a, b))
    anchor = date(2000, 1, 1)
    gap = datetime.combine(anchor, later[0]) - datetime.combine(anchor, first[1])
    return gap >= (timedelta(0) if same_site else BETWEEN_SITES)
