"""What a patient sees: the public page, booking a call, and their own appointment."""

from urllib.parse import urlencode

from flask import Blueprint, request

from scheduler.clinic import supply as clinic_supply
from scheduler.web.portal import book, home, ready, visit, way_home, when
from scheduler.web.portal.offer import offer_pages
from scheduler.web.portal.visit import visit as visit_pages

portal = Blueprint("portal", __name__)
for pages in (home, book, visit, ready, way_home):
    pages.join(portal)

for show in (when.weekday, when.month_day, when.in_long, when.zone_words, when.moment_value):
    portal.add_app_template_filter(show)


def _in_language(code: str) -> str:
    """Return the address of this page in another language. Holds nothing that was typed."""
    given = request.args if request.method == "GET" else request.form
    kept = {name: given[name] for name in ("site", "day", "date", "hold") if given.get(name)}
    return f"{request.path}?{urlencode(kept | {'lang': code})}"


def _clinics() -> list[clinic_supply.SiteSupply]:
    return list(clinic_supply.current().sites.values())


def _everywhere() -> dict[str, object]:
    # Functions, so that an error page, which uses none of it, asks the database nothing.
    return {"clinics": _clinics, "in_language": _in_language}


for pages_of in (portal, visit_pages, offer_pages):
    pages_of.context_processor(_everywhere)

__all__ = ["offer_pages", "portal", "visit_pages"]
