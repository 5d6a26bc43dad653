"""Today: the board of one day."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock
from scheduler.reports import board as boards
from scheduler.reports import counts
from scheduler.web import login
from scheduler.web.desk import looks

bp = Blueprint("desk", __name__, url_prefix="/desk")

BOTH = "both"
VIEWS = ("columns", "list")


@dataclass(frozen=True)
class Where:
    """Which board is looked at."""

    day: date
    today: date
    site: str  # the code of one, or "both"
    sites: list[SiteSupply]
    view: str

    def url(self, **changes: object) -> str:
        """Return the address of this board, or of one beside it."""
        day = changes.get("day", self.day)
        site = changes.get("site", self.site)
        view = changes.get("view", self.view)
        return url_for(
            "desk.today",
            day=None if day == self.today else day,
            site=site,
            view=None if view == VIEWS[0] else view,
        )

    @property
    def yesterday(self) -> date:
        """The day before."""
        return self.day - timedelta(days=1)

    @property
    def tomorrow(self) -> date:
        """The day after."""
        return self.day + timedelta(days=1)


def where() -> Where:
    """Read from the address which board is meant; what makes no sense means today, here."""
    supply = clinic_supply.current()
    home = supply.sites.get(login.me().home_site_id) or next(iter(supply.sites.values()))
    asked = request.args.get("site", "")
    one = supply.site(asked)
    sites = list(supply.sites.values()) if asked == BOTH else [one or home]
    today = clock.now().astimezone(sites[0].zone).date()
    try:
        day = date.fromisoformat(request.args.get("day", ""))
    except ValueError:
        day = today
    if abs((day - today).days) > 3660:
        day = today
    view = request.args.get("view", "")
    return Where(
        day=day,
        today=today,
        site=BOTH if asked == BOTH else sites[0].code,
        sites=sites,
        view=view if view in VIEWS else VIEWS[0],
    )


@bp.get("", strict_slashes=False)
def today() -> ResponseReturnValue:
    """Show a day's board; to a page that asks whether it changed, only say so when it did."""
    here, now = where(), clock.now()
    site_ids = [site.id for site in here.sites]
    state = f"{boards.signature(site_ids, here.day, now=now)}{counts.waiting(now=now)}{here.view}"
    tag = hashlib.sha256(state.encode()).hexdigest()[:20]
    if login.is_poll() and tag in request.if_none_match:
        unchanged = make_response("", 304)
        unchanged.set_etag(tag)
        return unchanged
    page = render_template(
        "desk/today.html",
        here=here,
        board=boards.of_day(site_ids, here.day, now=now),
        all_sites=list(clinic_supply.current().sites.values()),
        now=now,
        tag=tag,
    )
    looks.note("board.viewed", f"day:{here.day}:{here.site}", once_in_a_while=True)
    response = make_response(page)
    response.set_etag(tag)
    return response
