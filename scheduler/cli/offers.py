"""`flask offers` and `flask times check`: what the book could give, and what the clock changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from scheduler.booking import offers, reasons, walls
from scheduler.booking.offers import Audience, Offer
from scheduler.cli.walls import CLOCK, DATE, WALL
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply, Supply
from scheduler.core import clock
from scheduler.core.errors import Invalid
from scheduler.core.timespan import PartOfDay, instant, wall_text
from scheduler.plans.openings import MOST_VISITS, USUAL, Pace, openings
from scheduler.plans.optimiser import Placement


class PaceType(click.ParamType[Pace]):
    """Days from one visit to the next: 7, 2-4 or 2-3-5."""

    name = "pace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Pace:
        """Read it; of two numbers, the target is the middle."""
        if isinstance(value, Pace):
            return value
        parts = str(value).split("-")
        if not all(p.isascii() and p.isdigit() and len(p) < 4 for p in parts) or len(parts) > 3:
            self.fail("write days like 7, 2-4 or 2-3-5.", param, ctx)
        numbers = [int(p) for p in parts]
        target = numbers[1] if len(numbers) == 3 else sum(numbers) // len(numbers)
        pace = Pace(numbers[0], target, numbers[-1])
        try:
            pace.check()
        except Invalid as refusal:
            self.fail(refusal.message, param, ctx)
        return pace


PACE = PaceType()


@click.command("offers")
@click.option(
    "--service",
    "services",
    type=click.Choice([s.value for s in ServiceCode]),
    multiple=True,
    required=True,
    help="May be given several times.",
)
@click.option("--site", "codes", multiple=True, help="Code of a site; every site when left out.")
@click.option("--from", "first", type=DATE, help="First day, YYYY-MM-DD; today when left out.")
@click.option(
    "--days", type=click.IntRange(1, 400), help="How many days; 14 when left out, 60 with --first."
)
@click.option(
    "--part-of-day",
    "parts",
    type=click.Choice([p.value for p in PartOfDay]),
    multiple=True,
    help="Only then: until noon, noon to five, from five on. May be given several times.",
)
@click.option("--person", help="Only with this member of staff, by name.")
@click.option("--online", is_flag=True, help="As patients see it: notice, horizon, quarter-hours.")
@click.option("--count", is_flag=True, help="How many starts each day has, instead of the starts.")
@click.option("--first", "most", type=click.IntRange(1, 1000), help="Only the first so many.")
@click.option(
    "--series",
    type=click.IntRange(1, MOST_VISITS),
    metavar="N",
    help="How many of N visits are open for each first day, and the best choice; with --every.",
)
@click.option(
    "--every",
    "paces",
    type=PACE,
    multiple=True,
    metavar="LEAST[-TARGET]-MOST",
    help="Days from one visit to the next; once, or once for each visit after the first.",
)
@click.option("--usual", type=CLOCK, help="HH:MM, on 24 hours: the time a series rather keeps to.")
@click.option("--why", type=WALL, help="Say why this wall time (YYYY-MM-DDTHH:MM) is not offered.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
@with_appcontext
def offers_command(
    services: tuple[str, ...],
    codes: tuple[str, ...],
    first: datetime | None,
    days: int | None,
    parts: tuple[str, ...],
    person: str | None,
    online: bool,
    count: bool,
    most: int | None,
    series: int | None,
    paces: tuple[Pace, ...],
    usual: datetime | None,
    why: datetime | None,
    as_json: bool,
) -> None:
    """List the starts that could be booked, or with --why what keeps one from being offered.

    Ends with status 1 when no start asked for with --why is offered.
    """
    asked_for = {"--why": why, "--count": count or None, "--first": most, "--series": series}
    given = [name for name, value in asked_for.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"Ask for one thing at a time, not for {' and '.join(given)}.")
    if series is None and (paces or usual):
        raise click.UsageError("--every and --usual belong to --series.")
    now = clock.now()
    sites = _sites(clinic_supply.current(), codes)
    ask = _Ask(
        services=[ServiceCode(s) for s in dict.fromkeys(services)],
        sites=sites,
        first=first.date() if first else now.astimezone(sites[0].zone).date(),
        days=days or (60 if most else 14),
        parts=[PartOfDay(p) for p in parts],
        person_id=_person(sites, person) if person else None,
        audience=Audience.ONLINE if online else Audience.DESK,
        now=now,
    )
    if why is not None:
        if parts:
            raise click.UsageError("--why asks about one time; leave --part-of-day out.")
        _say_why(ask, why, as_json)
    elif count:
        _say_counts(ask, as_json)
    elif series is not None:
        _say_series(ask, series, paces, usual.time() if usual else USUAL, as_json)
    else:
        _say_starts(ask, most, as_json)


@dataclass(frozen=True)
class _Ask:
    """What is asked of the book, whatever the answer looks like."""

    services: list[ServiceCode]
    sites: list[SiteSupply]
    first: date
    days: int
    parts: list[PartOfDay]
    person_id: int | None
    audience: Audience
    now: datetime

    @property
    def site_ids(self) -> list[int]:
        return [site.id for site in self.sites]

    def document(self, **answer: object) -> str:
        """Return the JSON text of an answer, with what was asked."""
        asked = {
            "services": [s.value for s in self.services],
            "sites": [site.code for site in self.sites],
            "from": self.first.isoformat(),
            "days": self.days,
        }
        return json.dumps(asked | answer, indent=2)


def _say_starts(ask: _Ask, most: int | None, as_json: bool) -> None:
    if most is None:
        found = offers.find(
            ask.services,
            site_ids=ask.site_ids,
            since=ask.first,
            until=ask.first + timedelta(days=ask.days),
            now=ask.now,
            audience=ask.audience,
            parts=ask.parts,
            person_id=ask.person_id,
        )
    else:
        found = offers.first_free(
            ask.services,
            site_ids=ask.site_ids,
            after=ask.first,
            now=ask.now,
            audience=ask.audience,
            most=most,
            within=timedelta(days=ask.days),
            parts=ask.parts,
            person_id=ask.person_id,
        )
    supply = clinic_supply.current()
    if as_json:
        click.echo(ask.document(offers=[_entry(offer, supply) for offer in found]))
    else:
        _table(found, supply, several=len(ask.services) > 1)


def _say_counts(ask: _Ask, as_json: bool) -> None:
    counted = offers.counts(
        ask.services,
        site_ids=ask.site_ids,
        first=ask.first,
        days=ask.days,
        now=ask.now,
        audience=ask.audience,
        parts=ask.parts,
        person_id=ask.person_id,
    )
    sites = {site.id: site for site in ask.sites}
    if as_json:
        rows = [
            {"day": d.isoformat(), "site": sites[s].code, "service": c.value, "starts": number}
            for (d, s, c), number in counted.items()
        ]
        click.echo(ask.document(counts=rows))
        return
    for (day, site_id, code), number in counted.items():
        what = f"  {code.value:<14}" if len(ask.services) > 1 else ""
        click.echo(f"{_day(day):<11} {sites[site_id].name:<12}{what} {number:>4}")


def _say_series(
    ask: _Ask, visits: int, paces: tuple[Pace, ...], usual: time, as_json: bool
) -> None:
    if len(ask.services) > 1:
        raise click.BadParameter("a series is of one service.", param_hint="--service")
    if len(paces) not in (1, visits - 1):
        raise click.BadParameter(
            f"give it once, or once for each of the {visits - 1} visits after the first."
            if paces
            else "say how many days lie between visits, like 2-4.",
            param_hint="--every",
        )
    each = paces * (visits - 1) if len(paces) == 1 else paces
    try:
        found = openings(
            each,
            service=ask.services[0],
            site_ids=ask.site_ids,
            first=ask.first,
            days=ask.days,
            now=ask.now,
            audience=ask.audience,
            usual=usual,
            parts=ask.parts,
            person_id=ask.person_id,
        )
    except Invalid as refusal:
        raise click.BadParameter(refusal.message, param_hint="--every") from None
    sites = {site.id: site for site in ask.sites}
    best = found.best
    if as_json:
        rows = [{"day": o.first_on.isoformat(), "open": o.open, "of": o.of} for o in found.days]
        chosen = [_placed(p, sites) for p in best.series.placements]
        of_best = {"day": best.first_on.isoformat(), "open": best.open, "visits": chosen}
        paced = [[p.min_days, p.target_days, p.max_days] for p in each]
        click.echo(ask.document(visits=visits, every=paced, starts=rows, best=of_best))
        return
    for opening in found.days:
        click.echo(f"{_day(opening.first_on):<11} {opening.open} of {opening.of} open")
    click.echo(f"Best: {_day(best.first_on)}, {best.open} of {best.of} open")
    for placement in best.series.placements:
        if placement.start is None:
            click.echo(f"  {placement.number:>2}  {placement.reason}")
            continue
        site = sites[placement.start.site_id]
        wall = placement.start.at.astimezone(site.zone)
        click.echo(
            f"  {placement.number:>2}  {_day(wall.date()):<11} {_wall_clock(wall):>8}  {site.name}"
        )


def _placed(placement: Placement, sites: Mapping[int, SiteSupply]) -> dict[str, object]:
    start = placement.start
    site = sites[start.site_id] if start else None
    return {
        "number": placement.number,
        "site": site.code if site else None,
        "start": start.at.isoformat() if start else None,
        "wall": wall_text(start.at, site.zone) if start and site else None,
        "reason": placement.reason,
    }


def _sites(supply: Supply, codes: tuple[str, ...]) -> list[SiteSupply]:
    if not supply.sites:
        raise click.ClickException("There is no site yet.")
    known = {site.code: site for site in supply.sites.values()}
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise click.BadParameter(
            f"there is no site {unknown[0]}; there is {', '.join(sorted(known))}.",
            param_hint="--site",
        )
    return [known[code] for code in dict.fromkeys(codes)] or list(known.values())


def _person(sites: list[SiteSupply], name: str) -> int:
    found = {
        unit.id: unit.name
        for site in sites
        for unit in site.people
        if name.strip().casefold() in unit.name.casefold()
    }
    if len(found) == 1:
        return next(iter(found))
    those = ", ".join(sorted(found.values()))
    raise click.BadParameter(
        f"more than one is called like that: {those}." if found else f"nobody is called {name}.",
        param_hint="--person",
    )


def _say_why(ask: _Ask, wall: datetime, as_json: bool) -> None:
    told: list[dict[str, object]] = []
    for service, site in product(ask.services, ask.sites):
        start = instant(wall.date(), wall.time(), site.zone)
        against = reasons.why_not(
            service,
            site.id,
            start,
            now=ask.now,
            audience=ask.audience,
            person_id=ask.person_id,
        )
        told.append(
            {
                "service": service.value,
                "site": site.code,
                "start": start.isoformat(),
                "wall": wall_text(start, site.zone),
                "offered": not against,
                "reasons": [{"code": r.binding.value, "words": r.words} for r in against],
            }
        )
        if not as_json:
            what = f", {service.value}" if len(ask.services) > 1 else ""
            head = f"{site.name}, {wall_text(start, site.zone).replace('T', ' ')}{what}"
            click.echo(f"{head}: {'not offered' if against else 'offered'}")
            for reason in against:
                click.echo(f"  - {reason.words}")
    if as_json:
        click.echo(json.dumps(told, indent=2))
    if not any(entry["offered"] for entry in told):
        raise SystemExit(1)


def _entry(offer: Offer, supply: Supply) -> dict[str, object]:
    site = supply.sites[offer.site_id]
    return {
        "service": offer.service.value,
        "site": site.code,
        "start": offer.starts_at.isoformat(),
        "wall": wall_text(offer.starts_at, site.zone),
        "free": offer.free,
        "of": offer.of,
    }


def _table(found: list[Offer], supply: Supply, *, several: bool) -> None:
    day: tuple[date, str] | None = None
    for offer in found:
        site = supply.sites[offer.site_id]
        wall = offer.starts_at.astimezone(site.zone)
        if day != (wall.date(), site.name):
            day = (wall.date(), site.name)
            click.echo(f"{_day(wall.date())}  {site.name}")
        what = f"  {offer.service.value}" if several else ""
        click.echo(f"  {_wall_clock(wall):>8}  {offer.free} of {offer.of} free{what}")
    click.echo(f"{len(found)} starts.")


def _day(day: date) -> str:
    return f"{day:%a %b} {day.day}"


def _wall_clock(wall: datetime) -> str:
    return f"{wall:%I:%M %p}".lstrip("0")


times = AppGroup("times", help="Wall clocks and instants.")


@times.command("check")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
def check_command(as_json: bool) -> None:
    """List appointments ahead whose instant no longer shows the wall time that was promised.

    That happens when a government changes a zone's rules. Nothing is moved: each is decided by
    somebody. Ends with status 1 when there are any.
    """
    found = walls.drifted(now=clock.now())
    if as_json:
        document = [
            {
                "appointment": one.public_id,
                "site": one.site,
                "start": one.starts_at.isoformat(),
                "promised": one.promised,
                "shows": one.shows,
            }
            for one in found
        ]
        click.echo(json.dumps(document, indent=2))
    else:
        for one in found:
            click.echo(f"{one.site} {one.public_id}: promised {one.promised}, shows {one.shows}")
        click.echo(f"{len(found)} to decide.")
    if found:
        raise SystemExit(1)
