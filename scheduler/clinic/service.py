"""Verbs on the supply. Whatever changes it raises the supply's version in the same breath."""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import update

from scheduler.audit import service as audit
from scheduler.clinic import supply
from scheduler.clinic.models import (
    Closure,
    Lane,
    NeedKind,
    OpeningHours,
    Resource,
    ResourceKind,
    ResourceSkill,
    Service,
    ServiceCode,
    ServiceNeed,
    Setting,
    Shift,
    Site,
    SupplyVersion,
)
from scheduler.core.db import db, notes


def add_site(
    code: str, name: str, *, zone_name: str, address: str, phone: str, starts: int
) -> Site:
    """Open a site, with the lanes that limit IV starts to `starts` a quarter-hour."""
    site = Site(code=code, name=name, zone_name=zone_name, address=address, phone=phone)
    db.session.add(site)
    db.session.flush()
    add_resource(ResourceKind.STARTS, f"{name} starts", site_id=site.id, lanes=starts)
    return site


def add_resource(
    kind: ResourceKind,
    name: str,
    *,
    site_id: int | None = None,
    lanes: int = 1,
    position: int = 0,
    skills: Iterable[str] = (),
) -> Resource:
    """Add something that can be busy, with its lanes and, for a person, skills."""
    resource = Resource(kind=kind, name=name, site_id=site_id, position=position)
    resource.lanes = [Lane(number=n) for n in range(1, lanes + 1)]
    db.session.add(resource)
    db.session.flush()
    for skill in sorted(set(skills)):
        db.session.add(ResourceSkill(resource_id=resource.id, skill=skill))
    if kind is not ResourceKind.PATIENT:  # a patient is no supply
        supply_changed()
    db.session.flush()
    return resource


def open_weekly(
    site: Site,
    weekdays: Iterable[int],
    opens: time,
    closes: time,
    *,
    valid_from: date,
    valid_until: date | None = None,
) -> None:
    """Say when a site is open on these weekdays (Monday is 0), on its own wall clock."""
    for weekday in weekdays:
        db.session.add(
            OpeningHours(
                site_id=site.id,
                weekday=weekday,
                opens=opens,
                closes=closes,
                valid_from=valid_from,
                valid_until=valid_until,
            )
        )
    supply_changed()


def add_shift(
    person: Resource,
    site: Site,
    weekdays: Iterable[int],
    since: time,
    until: time,
    *,
    valid_from: date,
    valid_until: date | None = None,
) -> None:
    """Say when a person works at a site on these weekdays, on the site's wall clock."""
    for weekday in weekdays:
        db.session.add(
            Shift(
                resource_id=person.id,
                site_id=site.id,
                weekday=weekday,
                since=since,
                until=until,
                valid_from=valid_from,
                valid_until=valid_until,
            )
        )
    supply_changed()


def close(
    site: Site,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    *,
    chair: Resource | None = None,
    actor: str,
    now: datetime,
) -> Closure:
    """Shut a site, or one chair of it, for a span of time.

    Doors reach this through `booking.withdraw_supply`, which says first who is hit.
    """
    closure = Closure(
        site_id=site.id,
        resource_id=chair.id if chair else None,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
    )
    db.session.add(closure)
    db.session.flush()
    supply_changed()
    audit.record("closure.added", f"closure:{closure.id}", actor=actor, now=now, site=site.code)
    return closure


def add_service(
    code: ServiceCode,
    name: str,
    *,
    visit_minutes: int,
    notice_minutes: int,
    horizon_days: int,
    is_online: bool = False,
    needs_authority: bool = False,
    needs: Iterable[tuple[NeedKind, int, int, str | None, bool]] = (),
) -> Service:
    """Add what can be booked. A need is (kind, from minute, until minute, skill, all lanes)."""
    service = Service(
        code=code,
        name=name,
        visit_minutes=visit_minutes,
        notice_minutes=notice_minutes,
        horizon_days=horizon_days,
        is_online=is_online,
        needs_authority=needs_authority,
    )
    service.needs = [
        ServiceNeed(
            kind=kind, from_minute=since, until_minute=until, skill=skill, all_lanes=all_lanes
        )
        for kind, since, until, skill, all_lanes in needs
    ]
    db.session.add(service)
    supply_changed()
    db.session.flush()
    return service


def choose(site: Site, name: str, value: Any, *, actor: str, now: datetime) -> None:
    """Give a site its own answer to one setting."""
    row = db.session.get(Setting, (site.id, name))
    before = row.value["value"] if row else None
    if row is None:
        db.session.add(Setting(site_id=site.id, name=name, value={"value": value}))
    else:
        row.value = {"value": value}
    supply_changed()
    audit.record(
        "setting.changed",
        f"site:{site.id}",
        actor=actor,
        now=now,
        setting=name,
        before=before,
        after=value,
    )


def supply_changed() -> None:
    """Raise the version that every process's copy of the supply is checked against."""
    db.session.execute(
        update(SupplyVersion).values(version=SupplyVersion.version + 1),
        execution_options={"synchronize_session": False},
    )
    notes()["supply changed"] = True
    supply.look_again()
