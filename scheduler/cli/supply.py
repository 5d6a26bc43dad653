"""`flask supply ...`: what the clinic can give, changed from a terminal, who is hit said first."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import click
from flask.cli import AppGroup

from scheduler.booking import withdrawal
from scheduler.booking.withdrawal import Hit, Impact, PeopleAreHit, withdraw_supply
from scheduler.cli.walls import CLOCK, DATE, MOMENT, Wall
from scheduler.clinic import holidays, hours, places, queries, roster, rules, standard, terms
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.hours import Period
from scheduler.clinic.models import NeedKind, Resource, ServiceCode, Site
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.phone import NotAMobile, mobile
from scheduler.core.timespan import TimeSpan, day_span, exists, instant, wall_text

group = AppGroup("supply", help="Sites, chairs, hours, people: what the clinic can give, and when.")
ACTOR = "operator"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ANYBODY = "anybody"


class TakesType(click.ParamType[tuple[NeedKind, tuple[int, int]]]):
    """What a service takes, from minute to minute: chair:0-95."""

    name = "takes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[NeedKind, tuple[int, int]]:
        """Read it; what makes sense is asked of the clinic's rules."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(chair|person|starts):(\d{1,3})-(\d{1,3})", str(value), re.ASCII)
        if found is None:
            self.fail("write it like chair:0-95, person:0-85 or starts:15-30.", param, ctx)
        return NeedKind(found[1]), (int(found[2]), int(found[3]))


TAKES = TakesType()

_yes = click.option("--yes", is_flag=True, help="Do it even though somebody is hit.")
_json = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
_from = click.option("--from", "since", type=DATE, required=True, help="First day, YYYY-MM-DD.")
_until = click.option("--until", type=DATE, help="Last day; for good when left out.")
_days = click.option(
    "--days", required=True, help="Days of the week: mon,wed or mon-fri or all.", metavar="DAYS"
)


@group.command("show")
@click.option("--site", "code", help="Code of one site; every site when left out.")
@_json
def show(code: str | None, as_json: bool) -> None:
    """Show the sites with chairs, hours, people and closures ahead."""
    now = clock.now()
    sites = [_found(code)] if code else queries.sites()
    shown = [_shown(site, now=now) for site in sites]
    if as_json:
        click.echo(json.dumps({"sites": shown}, indent=2))
        return
    for site in shown:
        click.echo(f"{site['name']} ({site['code']}), {site['zone']}")
        click.echo(f"  chairs    {', '.join(site['chairs']) or 'none'}")
        click.echo(f"  starts    {site['starts']} in a quarter-hour")
        for row in site["hours"]:
            click.echo(f"  open      {row}")
        for person in site["people"]:
            click.echo(f"  person    {person['name']}: {', '.join(person['skills']) or '-'}")
        for closure in site["closures"]:
            what = closure["chair"] or "closed"
            click.echo(
                f"  {closure['id']:>5}     {what} {closure['from']} to {closure['until']}: "
                f"{closure['reason']}"
            )


@group.command("waiting")
@_json
def waiting(as_json: bool) -> None:
    """List who has lost their place and waits for another."""
    hits = [one.hit for one in withdrawal.to_replace(now=clock.now())]
    if as_json:
        click.echo(json.dumps({"waiting": [_entry(hit) for hit in hits]}, indent=2))
        return
    _list(hits)
    if not hits:
        click.echo("Everybody has their place.")


@group.command("close")
@click.argument("site")
@click.option(
    "--from", "since", type=MOMENT, required=True, help="YYYY-MM-DD, or YYYY-MM-DDTHH:MM there."
)
@click.option("--until", type=MOMENT, help="The last day, or the moment; one day when left out.")
@click.option("--reason", required=True, help='What colleagues read: "Snow".')
@click.option("--chair", "chairs", multiple=True, help="Only this chair, by name; may be repeated.")
@_yes
@_json
def close(
    site: str,
    since: Wall,
    until: Wall | None,
    reason: str,
    chairs: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Shut SITE, or some of its chairs."""

    def change() -> None:
        where = _site(site)
        hours.close(
            where,
            _span(where, since, until),
            reason,
            chairs=[_chair(where, name) for name in chairs],
            actor=ACTOR,
            now=clock.now(),
        )

    _carry_out(change, "Closed.", yes=yes, as_json=as_json)


@group.command("reopen")
@click.argument("number", type=int)
@_json
def reopen(number: int, as_json: bool) -> None:
    """Take closure NUMBER back, as `flask supply show` counts them."""
    _carry_out(
        lambda: hours.reopen(hours.closure(number), actor=ACTOR, now=clock.now()),
        "Open again.",
        yes=True,
        as_json=as_json,
    )


@group.command("hours")
@click.argument("site")
@_days
@click.option("--open", "opens", type=CLOCK, help="HH:MM, on 24 hours.")
@click.option("--close", "closes", type=CLOCK, help="HH:MM, on 24 hours.")
@click.option("--shut", is_flag=True, help="Not open at all on these days.")
@_from
@_until
@_yes
@_json
def set_hours(
    site: str,
    days: str,
    opens: datetime | None,
    closes: datetime | None,
    shut: bool,
    since: datetime,
    until: datetime | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Set when SITE is open from a day on, instead of what stands there."""

    def change() -> None:
        hours.set_hours(
            _site(site),
            _period(days, since, until),
            _walls(opens, closes, shut),
            seen=None,
            actor=ACTOR,
            now=clock.now(),
        )

    _carry_out(change, "The hours are set.", yes=yes, as_json=as_json)


@group.command("shifts")
@click.argument("person")
@_days
@click.option("--site", help="Code of the site they work at.")
@click.option("--at", "begins", type=CLOCK, help="HH:MM, on 24 hours.")
@click.option("--to", "ends", type=CLOCK, help="HH:MM, on 24 hours.")
@click.option("--none", "off", is_flag=True, help="They do not work on these days.")
@click.option("--beside", is_flag=True, help="Beside the shifts that stand there.")
@_from
@_until
@_yes
@_json
def set_shifts(
    person: str,
    days: str,
    site: str | None,
    begins: datetime | None,
    ends: datetime | None,
    off: bool,
    beside: bool,
    since: datetime,
    until: datetime | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Set where and when PERSON (by name) works from a day on."""

    def change() -> None:
        walls = _walls(begins, ends, off)
        if walls is not None and site is None:
            raise Invalid("Say at which --site.")
        roster.set_shifts(
            roster.person_called(person),
            _period(days, since, until),
            None if walls is None else (_site(site or ""), *walls),
            beside=beside,
            seen=None,
            actor=ACTOR,
            now=clock.now(),
        )

    _carry_out(change, "The shifts are set.", yes=yes, as_json=as_json)


@group.command("off")
@click.argument("person")
@click.option("--from", "since", type=MOMENT, required=True, help="YYYY-MM-DD[THH:MM].")
@click.option("--until", type=MOMENT, help="The last day, or the moment; one day when left out.")
@click.option("--reason", default="Away", show_default=True, help="What colleagues read.")
@_yes
@_json
def take_off(
    person: str, since: Wall, until: Wall | None, reason: str, yes: bool, as_json: bool
) -> None:
    """Note that PERSON (by name) is away."""

    def change() -> None:
        who = roster.person_called(person)
        mine = {row.site_id for row in roster.shifts_of(who)}
        sites = queries.sites()
        where = next((s for s in sites if s.id in mine), sites[0])
        roster.take_off(who, _span(where, since, until), reason, actor=ACTOR, now=clock.now())

    _carry_out(change, "Noted.", yes=yes, as_json=as_json)


@group.command("back")
@click.argument("number", type=int)
@_json
def be_back(number: int, as_json: bool) -> None:
    """Take time off NUMBER back, as `flask supply people` counts them."""
    _carry_out(
        lambda: roster.be_back(roster.time_off(number), actor=ACTOR, now=clock.now()),
        "Back again.",
        yes=True,
        as_json=as_json,
    )


@group.command("people")
@_json
def people(as_json: bool) -> None:
    """List who gives time: skills, visits at the same time, shifts, time off ahead."""
    now = clock.now()
    sites = {s.id: s for s in queries.sites()}
    shown: list[dict[str, Any]] = [
        {
            "name": p.name,
            "skills": sorted(roster.skills_of(p)),
            "lanes": len(places.lanes_in_use(p)),
            "left": p.retired_at is not None,
            "shifts": _shifts(p, sites, now=now),
            "off": _off(p, sites, now=now) if sites else [],
        }
        for p in roster.people()
    ]
    if as_json:
        click.echo(json.dumps({"people": shown}, indent=2))
        return
    for p in shown:
        left = "  (left)" if p["left"] else ""
        click.echo(f"{p['name']:<24} {p['lanes']}  {', '.join(p['skills']) or '-'}{left}")
        for row in p["shifts"]:
            click.echo(f"  works      {row}")
        for o in p["off"]:
            click.echo(f"  {o['id']:>5}  away {o['from']} to {o['until']}: {o['reason']}")


def _shifts(person: Resource, sites: Mapping[int, Site], *, now: datetime) -> list[str]:
    found = []
    for row in roster.shifts_of(person):
        today = now.astimezone(sites[row.site_id].zone).date()
        if hours.not_over([row], today):
            found.append(
                f"{DAYS[row.weekday]} {row.since:%H:%M}-{row.until:%H:%M} {sites[row.site_id].code}"
                + _validity(row.valid_from, row.valid_until, today)
            )
    return found


def _off(person: Resource, sites: Mapping[int, Site], *, now: datetime) -> list[dict[str, Any]]:
    """Return somebody's time off by the wall of the site they work at first."""
    mine = {row.site_id for row in roster.shifts_of(person)}
    zone = next((s.zone for s in sites.values() if s.id in mine), None)
    zone = zone or next(iter(sites.values())).zone
    return [
        {
            "id": o.id,
            "from": wall_text(o.starts_at, zone),
            "until": wall_text(o.ends_at, zone),
            "reason": o.reason,
        }
        for o in roster.off_of(person, now=now)
    ]


@group.command("person")
@click.argument("name")
@click.option(
    "--skill",
    "skills",
    multiple=True,
    type=click.Choice(sorted(rules.SKILLS)),
    help="All they may do; may be repeated. As it stands when left out.",
)
@click.option("--no-skill", is_flag=True, help="They may do nothing any more.")
@click.option("--lanes", type=int, help="Visits at the same time; as it stands when left out.")
@click.option("--leaves", is_flag=True, help="They work here no more.")
@_yes
@_json
def person(
    name: str,
    skills: tuple[str, ...],
    no_skill: bool,
    lanes: int | None,
    leaves: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take on, change, or let go PERSON, by name; what is left out stays as it is."""
    if no_skill and skills:
        raise click.UsageError("Say either --skill or --no-skill.")

    def change() -> None:
        now = clock.now()
        known = next((p for p in roster.people() if p.name == name), None)
        if leaves:
            places.retire(roster.person_called(name), actor=ACTOR, now=now)
        elif known is None:
            roster.add_person(name, skills, 1 if lanes is None else lanes, actor=ACTOR, now=now)
        else:
            stays = () if no_skill else roster.skills_of(known)
            roster.change_person(
                known,
                name=name,
                skills=skills or stays,
                lanes=len(places.lanes_in_use(known)) if lanes is None else lanes,
                seen=None,
                actor=ACTOR,
                now=now,
            )
            places.restore(known, actor=ACTOR, now=now)

    _carry_out(change, "Saved.", yes=yes, as_json=as_json)


@group.command("chair")
@click.argument("site")
@click.argument("name")
@click.option("--retire", is_flag=True, help="Take it out of use for good.")
@click.option("--rename", "new_name", help="Call it this from now on.")
@_yes
@_json
def chair(
    site: str, name: str, retire: bool, new_name: str | None, yes: bool, as_json: bool
) -> None:
    """Put chair NAME at SITE, give it another name, or take it out of use."""
    if retire and new_name is not None:
        raise click.UsageError("Say either --retire or --rename.")

    def change() -> None:
        where, now = _site(site), clock.now()
        if new_name is not None:
            places.rename_chair(_chair(where, name), new_name, seen=None, actor=ACTOR, now=now)
            return
        if retire:
            places.retire(_chair(where, name), actor=ACTOR, now=now)
            return
        resting = next((c for c in places.chairs_of(where, retired=True) if c.name == name), None)
        if resting is not None:
            places.restore(resting, actor=ACTOR, now=now)
        else:
            places.add_chair(where, name, actor=ACTOR, now=now)

    _carry_out(change, "Saved.", yes=yes, as_json=as_json)


@group.command("site")
@click.argument("code")
@click.option("--name", help='As everybody reads it: "Woburn".')
@click.option("--address", help="Where patients come to.")
@click.option("--phone", help="The number patients call.")
@click.option("--zone", help="Of a new site's clock: America/New_York when left out.")
@click.option("--starts", type=int, help="Visits that may start in a quarter-hour; a new site: 2.")
@_yes
@_json
def keep_site(
    code: str,
    name: str | None,
    address: str | None,
    phone: str | None,
    zone: str | None,
    starts: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Open a site called CODE in addresses, or change it; what is left out stays as it is.

    The first one also brings the four services.
    """
    try:
        number = None if phone is None else mobile(phone)
    except NotAMobile as refusal:
        raise click.ClickException(refusal.reason) from None
    known = next((s for s in queries.sites() if s.code == code.strip().lower()), None)
    if known is None:
        if name is None or address is None or number is None:
            raise click.ClickException(
                f"There is no site called {code}. A new one needs --name, --address and --phone."
            )
        _open_site(
            code, name, address, number, zone or "America/New_York", 2 if starts is None else starts
        )
        click.echo(f"{name} is there. Give it chairs and hours next.")
        return
    if zone is not None and zone != known.zone_name:
        raise click.ClickException(f"{known.name} keeps its clock, {known.zone_name}.")

    kept_code = known.code

    def change() -> None:
        where = _site(kept_code)
        places.change_site(
            where,
            name=where.name if name is None else name,
            address=where.address if address is None else address,
            phone=where.phone if number is None else number,
            starts=len(places.lanes_in_use(places.starts_of(where))) if starts is None else starts,
            seen=None,
            actor=ACTOR,
            now=clock.now(),
        )

    let_go()
    _carry_out(change, "Saved.", yes=yes, as_json=as_json)


def _open_site(code: str, name: str, address: str, phone: str, zone: str, starts: int) -> None:
    try:
        with transaction():
            places.open_site(
                code,
                name,
                zone_name=zone,
                address=address,
                phone=phone,
                starts=starts,
                actor=ACTOR,
                now=clock.now(),
            )
            if not terms.services():
                standard.add_services()
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None


@group.command("services")
@_json
def show_services(as_json: bool) -> None:
    """List the services: how long, from which minute to which they take what, and who may do it."""
    shown: list[dict[str, Any]] = [
        {
            "code": s.code.value,
            "name": s.name,
            "minutes": s.visit_minutes,
            "notice_hours": s.notice_minutes / 60,
            "horizon_days": s.horizon_days,
            "online": s.is_online,
            "skill": terms.skill_of(s),
            "whole_person": terms.takes_whole_person(s),
            "takes": {n.kind.value: [n.from_minute, n.until_minute] for n in s.needs},
        }
        for s in terms.services()
    ]
    if as_json:
        click.echo(json.dumps({"services": shown}, indent=2))
        return
    for s in shown:
        takes = ", ".join(f"{kind} {since}-{until}" for kind, (since, until) in s["takes"].items())
        takes += ", the whole person" if s["whole_person"] else ""
        click.echo(f"{s['code']:<15} {s['minutes']:>3} min  {s['skill'] or 'anybody':<14} {takes}")
        online = "patients can book it" if s["online"] else "the desk books it"
        click.echo(
            f"{'':<15} {s['notice_hours']:g} hours to {s['horizon_days']} days ahead; {online}"
        )


@group.command("service")
@click.argument("code", type=click.Choice([c.value for c in ServiceCode]))
@click.option("--name", help="As staff read it.")
@click.option("--minutes", type=int, help="The whole stay.")
@click.option("--notice-hours", type=int, help="Booked at least so far ahead.")
@click.option("--horizon-days", type=int, help="Booked at most so far ahead.")
@click.option("--skill", type=click.Choice([*rules.SKILLS, ANYBODY]), help="Who may do it.")
@click.option(
    "--takes",
    type=TAKES,
    multiple=True,
    metavar="KIND:FROM-UNTIL",
    help="From which minute until which: chair:0-95, person:0-85 or starts:15-30.",
)
@click.option(
    "--without",
    type=click.Choice([k.value for k in NeedKind]),
    multiple=True,
    help="What it takes no more.",
)
@click.option(
    "--whole-person/--shared-person",
    default=None,
    help="Whether who does it can do nothing else meanwhile.",
)
@click.option("--online/--not-online", default=None, help="Whether patients can book it.")
@_yes
@_json
def change_service(
    code: str,
    name: str | None,
    minutes: int | None,
    notice_hours: int | None,
    horizon_days: int | None,
    skill: str | None,
    takes: tuple[tuple[NeedKind, tuple[int, int]], ...],
    without: tuple[str, ...],
    whole_person: bool | None,
    online: bool | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Change what is booked from now on of service CODE; what is left out stays as it is."""

    def change() -> None:
        row = terms.service_called(code)
        needs = terms.needs_of(row)
        for word in without:
            if needs.pop(NeedKind(word), None) is None:
                raise Invalid(f"{row.name} takes no {word}.")
        both = {kind.value for kind, _ in takes} & set(without)
        if both:
            raise Invalid(f"Say either --takes or --without for {min(both)}.")
        whole = terms.takes_whole_person(row) if whole_person is None else whole_person
        wanted = {None: terms.skill_of(row), ANYBODY: None}
        terms.change_service(
            row,
            name=row.name if name is None else name,
            visit_minutes=row.visit_minutes if minutes is None else minutes,
            notice_minutes=row.notice_minutes if notice_hours is None else 60 * notice_hours,
            horizon_days=row.horizon_days if horizon_days is None else horizon_days,
            is_online=row.is_online if online is None else online,
            needs=needs | dict(takes),
            skill=wanted.get(skill, skill),
            whole_person=whole,
            seen=None,
            actor=ACTOR,
            now=clock.now(),
        )

    _carry_out(change, "Saved. What is booked keeps its times.", yes=yes, as_json=as_json)


@group.command("numbers")
@click.argument("site")
@_json
def show_numbers(site: str, as_json: bool) -> None:
    """List the numbers SITE has chosen; `flask supply set` changes one."""
    chosen = terms.chosen(_found(site))
    if as_json:
        click.echo(json.dumps({"numbers": chosen}, indent=2))
        return
    for name, value in chosen.items():
        asked = terms.CHOICES[name]
        click.echo(f"{name:<37} {value:>5}  {asked.label.removeprefix('… ')} ({asked.unit})")


@group.command("set")
@click.argument("site")
@click.argument("name", type=click.Choice(list(terms.CHOICES)))
@click.argument("value", type=int)
def choose(site: str, name: str, value: int) -> None:
    """Choose one of SITE's numbers."""
    try:
        with transaction():
            terms.choose_all(_site(site), {name: value}, seen=None, actor=ACTOR, now=clock.now())
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None
    click.echo(f"{name} is {value}.")


@group.command("holidays")
@click.argument("site")
@click.option("--close", "shut", type=DATE, help="Shut the site on this holiday.")
@click.option("--open", "stay", type=DATE, help="Stay open on this holiday.")
@_yes
@_json
def decide_holidays(
    site: str, shut: datetime | None, stay: datetime | None, yes: bool, as_json: bool
) -> None:
    """List the public holidays ahead at SITE, or decide one of them."""
    decided = shut or stay
    if decided is None:
        _list_holidays(_found(site), as_json)
        return

    def change() -> None:
        where, now = _site(site), clock.now()
        found = holidays.holiday_on(where, decided.date(), now=now)
        holidays.answer_holiday(
            where, found.day, found.name, is_closed=shut is not None, actor=ACTOR, now=now
        )
        if shut is not None:
            hours.close(where, day_span(found.day, where.zone), found.name, actor=ACTOR, now=now)

    _carry_out(change, "Closed." if shut else "Open as usual.", yes=yes, as_json=as_json)


def _carry_out(change: Callable[[], object], done: str, *, yes: bool, as_json: bool) -> None:
    """Make a change unless somebody is hit by it and nobody said yes; say who in either case.

    Ends with status 2 when nothing was changed because somebody would be hit.
    """
    saved = True
    try:
        with transaction():
            impact = withdraw_supply(change, seen=None if yes else (), actor=ACTOR, now=clock.now())
    except PeopleAreHit as refusal:
        let_go()
        impact, saved = refusal.impact, False
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None
    if as_json:
        click.echo(json.dumps(_document(impact, saved), indent=2))
    else:
        _list(impact.hits)
        if impact.reseated:
            click.echo(f"{impact.reseated} with another chair or lane at the same time.")
        if impact.healed:
            click.echo(f"{impact.healed} with their place again.")
        click.echo(done if saved else "Nothing was changed. Add --yes to do it all the same.")
    if not saved:
        raise SystemExit(2)


def _document(impact: Impact, saved: bool) -> dict[str, Any]:
    return {
        "saved": saved,
        "hits": [_entry(hit) for hit in impact.hits],
        "reseated": impact.reseated,
        "healed": impact.healed,
    }


def _entry(hit: Hit) -> dict[str, Any]:
    site = clinic_supply.current().sites[hit.site_id]
    return {
        "appointment": hit.public_id,
        "patient": hit.patient_name,
        "service": hit.service_code.value,
        "site": site.code,
        "starts_at": hit.starts_at.isoformat(),
        "wall": wall_text(hit.starts_at, site.zone),
        "why": list(hit.why),
    }


def _list(hits: Sequence[Hit]) -> None:
    sites = clinic_supply.current().sites
    for hit in hits:
        site = sites[hit.site_id]
        wall = wall_text(hit.starts_at, site.zone).replace("T", " ")
        click.echo(f"{wall}  {site.name:<10} {hit.patient_name:<24} {' '.join(hit.why)}")


def _list_holidays(site: Site, as_json: bool) -> None:
    found = holidays.ahead(site, now=clock.now())
    words = {None: "to decide", True: "closed", False: "open"}
    if as_json:
        document = [
            {"day": h.day.isoformat(), "name": h.name, "decided": words[h.is_closed]} for h in found
        ]
        click.echo(json.dumps({"holidays": document}, indent=2))
        return
    for h in found:
        click.echo(f"{h.day.isoformat()}  {words[h.is_closed]:<10} {h.name}")


def _shown(site: Site, *, now: datetime) -> dict[str, Any]:
    unit = clinic_supply.current().sites[site.id]
    names = {c.id: c.name for c in places.chairs_of(site)}
    today = now.astimezone(site.zone).date()
    return {
        "code": site.code,
        "name": site.name,
        "zone": site.zone_name,
        "chairs": list(names.values()),
        "starts": len(unit.starts.lanes),
        "hours": [
            f"{DAYS[r.weekday]} {r.opens:%H:%M}-{r.closes:%H:%M}"
            + _validity(r.valid_from, r.valid_until, today)
            for r in hours.not_over(hours.hours_of(site), today)
        ],
        "people": [{"name": p.name, "skills": sorted(p.skills)} for p in unit.people],
        "closures": [
            {
                "id": c.id,
                "from": wall_text(c.starts_at, site.zone),
                "until": wall_text(c.ends_at, site.zone),
                "chair": names.get(c.resource_id, "a chair") if c.resource_id else None,
                "reason": c.reason,
            }
            for c in hours.closures(now=now, site=site)
        ],
    }


def _validity(since: date, until: date | None, today: date) -> str:
    first = f" from {since.isoformat()}" if since > today else ""
    return first + (f" until {until.isoformat()}" if until else "")


def _found(code: str) -> Site:
    try:
        return _site(code)
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None


def _site(code: str) -> Site:
    return queries.site_called(code)


def _chair(site: Site, name: str) -> Resource:
    found = next((c for c in places.chairs_of(site) if c.name == name), None)
    if found is None:
        raise Invalid(f"{site.name} has no chair called {name}.")
    return found


def _period(days: str, since: datetime, until: datetime | None) -> Period:
    return Period(_weekdays(days), since.date(), until.date() if until else None)


def _weekdays(text: str) -> tuple[int, ...]:
    if text == "all":
        return tuple(range(7))
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise Invalid("Name days like mon,wed or mon-fri or all.")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update(range(begin, end + 1) if begin <= end else (*range(begin, 7), *range(end + 1)))
    return tuple(sorted(found))


def _walls(
    begins: datetime | None, ends: datetime | None, nothing: bool
) -> tuple[time, time] | None:
    if nothing:
        return None
    if begins is None or ends is None:
        raise Invalid("Say from when until when.")
    return begins.time(), ends.time()


def _span(site: Site, since: Wall, until: Wall | None) -> TimeSpan:
    """Read a span on the site's own clock; a bare last day is meant whole."""
    last = until or Wall(since.day, None)
    end = day_span(last.day, site.zone).end if last.time is None else _moment(site, last)
    start = _moment(site, since)
    if end <= start:
        raise Invalid("The end must come after the beginning.")
    return TimeSpan(start, end)


def _moment(site: Site, wall: Wall) -> datetime:
    begins = wall.time or time(0)
    if begins.minute % 5:
        raise Invalid("Use steps of five minutes.")
    if begins != time(0) and not exists(wall.day, begins, site.zone):
        raise Invalid("The clock skips that time on that day.")
    return instant(wall.day, begins, site.zone)
