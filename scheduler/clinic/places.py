"""How the clinic keeps its sites and chairs.

Each verb changes rows, raises the supply's version and is on record. None of them knows an
appointment: doors hand them to `booking.withdrawal.withdraw_supply`, which says who is hit.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import available_timezones

from sqlalchemy import func, select

from scheduler.audit import service as audit
from scheduler.clinic import rules, service
from scheduler.clinic.marks import insist_unchanged, mark
from scheduler.clinic.models import (
    Lane,
    Resource,
    ResourceKind,
    Site,
)
from scheduler.clinic.service import supply_changed
from scheduler.core.db import db
from scheduler.core.errors import Invalid, NotFound

_CODE = re.compile(r"[a-z][a-z0-9-]{1,30}")


def open_site(
    code: str,
    name: str,
    *,
    zone_name: str,
    address: str,
    phone: str,
    starts: int,
    actor: str,
    now: datetime,
) -> Site:
    """Open another site, without chairs and hours yet.

    Raises:
        Invalid: a name or code that cannot be, or is taken; a zone the world does not have.
    """
    name = rules.check_name(name)
    code = code.strip().lower()
    if not _CODE.fullmatch(code):
        raise Invalid("Use small letters, digits and dashes, like “woburn”.", field="code")
    if db.session.scalar(select(Site.id).where(Site.code == code)):
        raise Invalid("Another clinic has this short name.", field="code")
    if zone_name not in available_timezones():
        raise Invalid("Choose a time zone like America/New_York.", field="zone_name")
    rules.check_lanes(starts, field="starts")
    address = rules.check_address(address)
    site = service.add_site(
        code, name, zone_name=zone_name, address=address, phone=phone, starts=starts
    )
    audit.record("site.opened", f"site:{site.id}", actor=actor, now=now, name=name)
    return site


def change_site(
    site: Site,
    *,
    name: str,
    address: str,
    phone: str,
    starts: int,
    seen: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Correct a site's name, address and number, and how many visits may start at a time.

    Raises:
        Invalid: a value that cannot be.
        ChangedMeanwhile: as its name says.
    """
    subject = f"site:{site.id}"
    insist_unchanged(subject, mark_of_site(site), seen)
    name, address = rules.check_name(name), rules.check_address(address)
    rules.check_lanes(starts, field="starts")
    before = {"name": site.name, "address": site.address, "phone": site.phone}
    site.name, site.address, site.phone = name, address, phone
    after = {"name": site.name, "address": site.address, "phone": site.phone}
    before["starts"] = str(len(lanes_in_use(starts_of(site))))
    set_lanes(starts_of(site), starts, now=now)
    after["starts"] = str(starts)
    supply_changed()
    audit.record("site.changed", subject, actor=actor, now=now, before=before, after=after)


def mark_of_site(site: Site) -> str:
    """Return the print of what the site's own form shows."""
    return mark(site, more=len(lanes_in_use(starts_of(site))))


def starts_of(site: Site) -> Resource:
    """Return the row that limits how many visits start at a time."""
    return db.session.scalars(
        select(Resource).where(Resource.site_id == site.id, Resource.kind == ResourceKind.STARTS)
    ).one()


def chairs_of(site: Site, *, retired: bool = False) -> Sequence[Resource]:
    """Return a site's chairs in their order on the board; those out of use when asked."""
    out = Resource.retired_at.is_not(None) if retired else Resource.retired_at.is_(None)
    return db.session.scalars(
        select(Resource)
        .where(Resource.site_id == site.id, Resource.kind == ResourceKind.CHAIR, out)
        .order_by(Resource.position, Resource.id)
    ).all()


def add_chair(site: Site, name: str, *, actor: str, now: datetime) -> Resource:
    """Put another chair last in the row.

    Raises:
        Invalid: no name, or one that another chair there has.
    """
    name = _free_chair_name(site.id, name)
    last = db.session.scalar(
        select(func.max(Resource.position)).where(
            Resource.site_id == site.id, Resource.kind == ResourceKind.CHAIR
        )
    )
    chair = service.add_resource(
        ResourceKind.CHAIR, name, site_id=site.id, position=(last or 0) + 1
    )
    audit.record("chair.added", f"resource:{chair.id}", actor=actor, now=now, name=name)
    return chair


def rename_chair(
    chair: Resource, name: str, *, seen: str | None, actor: str, now: datetime
) -> None:
    """Give a chair another name.

    Raises:
        Invalid: no name, or one that another chair there has.
        ChangedMeanwhile: as its name says.
    """
    insist_unchanged(f"resource:{chair.id}", mark(chair), seen)
    before = chair.name
    chair.name = _free_chair_name(chair.site_id, name, but=chair.id)
    supply_changed()
    audit.record(
        "chair.renamed",
        f"resource:{chair.id}",
        actor=actor,
        now=now,
        before=before,
        after=chair.name,
    )


def move_chair(chair: Resource, by: int, *, actor: str, now: datetime) -> None:
    """Move a chair one place up (-1) or down (1) in the row; at its end nothing happens."""
    site = db.session.get_one(Site, chair.site_id)
    row = list(chairs_of(site))
    at = row.index(chair) if chair in row else -1
    to = at + by
    if at < 0 or not 0 <= to < len(row):
        return
    row[at], row[to] = row[to], row[at]
    for number, each in enumerate(row, 1):
        each.position = number
    supply_changed()
    audit.record("chair.placed", f"resource:{chair.id}", actor=actor, now=now, place=to + 1)


def retire(resource: Resource, *, actor: str, now: datetime) -> None:
    """Take a chair or person out of use for good; what was keeps it."""
    if resource.retired_at is not None:
        return
    resource.retired_at = now
    supply_changed()
    audit.record(f"{resource.kind.value}.retired", f"resource:{resource.id}", actor=actor, now=now)


def restore(resource: Resource, *, actor: str, now: datetime) -> None:
    """Take a chair or person back into use.

    Raises:
        Invalid: another chair there has been given its name meanwhile.
    """
    if resource.retired_at is None:
        return
    if resource.kind is ResourceKind.CHAIR:
        _free_chair_name(resource.site_id, resource.name, but=resource.id)
    resource.retired_at = None
    supply_changed()
    audit.record(f"{resource.kind.value}.restored", f"resource:{resource.id}", actor=actor, now=now)


def lanes_in_use(resource: Resource) -> list[Lane]:
    """Return the lanes a resource has now."""
    return [lane for lane in resource.lanes if lane.retired_at is None]


def set_lanes(resource: Resource, count: int, *, now: datetime) -> None:
    """Give a resource so many lanes: the lowest numbers are used, the others rest."""
    for lane in resource.lanes:
        in_use = lane.number <= count
        if in_use:
            lane.retired_at = None
        elif lane.retired_at is None:
            lane.retired_at = now
    for number in range(len(resource.lanes) + 1, count + 1):
        resource.lanes.append(Lane(number=number))
    db.session.flush()


def add_extra_lane(resource_id: int, *, now: datetime) -> int:
    """Give a person a lane that nothing offers, for one visit beyond their number; return its id.

    The caller holds the row of the resource.
    """
    lanes = db.session.scalars(select(Lane.number).where(Lane.resource_id == resource_id)).all()
    lane = Lane(resource_id=resource_id, number=max(lanes, default=0) + 1, retired_at=now)
    db.session.add(lane)
    db.session.flush()
    return lane.id


def resource(number: int, kind: ResourceKind) -> Resource:
    """Return a chair or person, in use or not.

    Raises:
        NotFound: there is none of this kind and number.
    """
    found = db.session.get(Resource, number)
    if found is None or found.kind is not kind:
        raise NotFound("There is no such entry.")
    return found


def _free_chair_name(site_id: int | None, name: str, *, but: int = 0) -> str:
    name = rules.check_name(name)
    clash = db.session.scalar(
        select(Resource.id).where(
            Resource.site_id == site_id,
            Resource.kind == ResourceKind.CHAIR,
            Resource.name == name,
            Resource.retired_at.is_(None),
            Resource.id != but,
        )
    )
    if clash:
        raise Invalid("Another chair here has this name.", field="name")
    return name
