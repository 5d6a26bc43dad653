"""`flask offers` and `flask times check`: what the book could give, and what the clock changed."""

import json
from datetime import date, datetime, timedelta

import click
from flask.cli import AppGroup, with_appcontext

from scheduler.booking import offers, reasons, walls
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.clinic.supply import SiteSupply, Supply
from scheduler.core import clock
from scheduler.core.timespan import day_span, instant, wall_text

DATE = click.DateTime(formats=["%Y-%m-%d"])
WALL = click.DateTime(formats=["%Y-%m-%dT%H:%M"])


@click.command("offers")
@click.option("--service", type=click.Choice([s.value for s in ServiceCode]), required=True)
@click.option("--site", "codes", multiple=True, help="Code of a site; every site when left out.")
@click.option("--from", "first", type=DATE, help="First day, YYYY-MM-DD; today when left out.")
@click.option("--days", type=click.IntRange(1, 400), default=14, show_default=True)
@click.option("--person", help="Only with this member of staff, by name.")
@click.option("--online", is_flag=True, help="As patients see it: notice, horizon, quarter-hours.")
@click.option("--why", type=WALL, help="Say why this wall time (YYYY-MM-DDTHH:MM) is not offered.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
@with_appcontext
def offers_command(
    service: str,
    codes: tuple[str, ...],
    first: datetime | None,
    days: int,
    person: str | None,
    online: bool,
    why: datetime | None,
    as_json: bool,
) -> None:
    """List the starts that could be booked, or with --why what keeps one from being offered.

    Ends with status 1 when the start asked for with --why is not offered.
    """
    now = clock.now()
    supply = clinic_supply.current()
    sites = _sites(supply, codes)
    person_id = _person(sites, person) if person else None
    audience = Audience.ONLINE if online else Audience.DESK
    code = ServiceCode(service)
    if why is not None:
        _say_why(code, sites, why, person_id, audience, now, as_json)
        return
    begins = first.date() if first else now.astimezone(sites[0].zone).date()
    found = [
        offer
        for site in sites
        for offer in offers.find(
            code,
            site_ids=[site.id],
            since=day_span(begins, site.zone).start,
            until=day_span(begins + timedelta(days=days), site.zone).start,
            now=now,
            audience=audience,
            person_id=person_id,
        )
    ]
    found.sort()
    if as_json:
        document = {
            "service": code.value,
            "from": begins.isoformat(),
            "days": days,
            "offers": [_entry(offer, supply) for offer in found],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        _table(found, supply)


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
    return [known[code] for code in codes] or list(known.values())


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


def _say_why(
    service: ServiceCode,
    sites: list[SiteSupply],
    wall: datetime,
    person_id: int | None,
    audience: Audience,
    now: datetime,
    as_json: bool,
) -> None:
    told: list[dict[str, object]] = []
    for site in sites:
        start = instant(wall.date(), wall.time(), site.zone)
        against = reasons.why_not(
            service, site.id, start, now=now, audience=audience, person_id=person_id
        )
        told.append(
            {
                "site": site.code,
                "start": start.isoformat(),
                "wall": wall_text(start, site.zone),
                "offered": not against,
                "reasons": [{"code": r.binding.value, "words": r.words} for r in against],
            }
        )
        if not as_json:
            head = f"{site.name}, {wall_text(start, site.zone).replace('T', ' ')}"
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
        "site": site.code,
        "start": offer.starts_at.isoformat(),
        "wall": wall_text(offer.starts_at, site.zone),
        "free": offer.free,
        "of": offer.of,
    }


def _table(found: list[Offer], supply: Supply) -> None:
    day: tuple[date, str] | None = None
    for offer in found:
        site = supply.sites[offer.site_id]
        wall = offer.starts_at.astimezone(site.zone)
        if day != (wall.date(), site.name):
            day = (wall.date(), site.name)
            click.echo(f"{wall:%a %b} {wall.day}  {site.name}")
        clock_words = f"{wall:%I:%M %p}".lstrip("0")
        click.echo(f"  {clock_words:>8}  {offer.free} of {offer.of} free")
    click.echo(f"{len(found)} starts.")


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
