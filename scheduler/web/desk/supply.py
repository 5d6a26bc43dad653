"""The supply of a site, kept by an administrator: itself, its chairs, hours and closures."""

from collections.abc import Sequence
from datetime import date, datetime, time

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import (
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TimeField,
)
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from scheduler.booking import withdrawal
from scheduler.clinic import holidays, hours, places, queries, roster, terms
from scheduler.clinic.hours import Period
from scheduler.clinic.marks import mark
from scheduler.clinic.models import OpeningHours, Resource, ResourceKind, Site
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.core.phone import shown
from scheduler.core.timespan import TimeSpan, day_span, exists, instant
from scheduler.web import login
from scheduler.web.desk import looks, refusals
from scheduler.web.desk.rooms import say
from scheduler.web.desk.supply_flow import carry_out, typed_mark
from scheduler.web.display import ZONES
from scheduler.web.fields import DayField, Form, MobileField, WholeField, option, tidy_line

bp = Blueprint("desk_supply", __name__, url_prefix="/desk/supply")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Ticks(SelectMultipleField):
    """Several of a few choices, each a box to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class SiteForm(Form):
    """What a site is called and where it is."""

    name = StringField(
        "Name", [InputRequired("Enter a name."), Length(max=80)], filters=[tidy_line]
    )
    address = StringField(
        "Address",
        [InputRequired("Enter the address patients come to."), Length(max=200)],
        filters=[tidy_line],
    )
    phone = MobileField("Phone patients call", [InputRequired("Enter a phone number.")])
    starts = WholeField("Visits that may start in one quarter-hour")


class NewSiteForm(SiteForm):
    """A new site: also what stays for good."""

    code = StringField(
        "Short name",
        [InputRequired("Enter a short name."), Length(max=30)],
        filters=[tidy_line],
    )
    zone_name = SelectField(
        "Time zone", choices=[option(k, f"{v} ({k})") for k, v in ZONES.items()]
    )


class ChairForm(Form):
    """A chair's name."""

    name = StringField(
        "Name", [InputRequired("Enter a name."), Length(max=80)], filters=[tidy_line]
    )


class PeriodForm(Form):
    """On which days of the week, from when, until when."""

    weekdays = Ticks(
        "On these days", choices=[option(str(n), name) for n, name in enumerate(WEEKDAYS)]
    )
    valid_from = DayField("From this day on", [InputRequired("Choose the first day.")])
    valid_until = DayField("Until, if it ends", [Optional()])

    def period(self) -> Period:
        """Return what was chosen."""
        assert self.valid_from.data is not None
        return Period(
            tuple(int(n) for n in self.weekdays.data or ()),
            self.valid_from.data,
            self.valid_until.data,
        )


class HoursForm(PeriodForm):
    """New hours."""

    kind = RadioField(
        "The site is",
        choices=[option("open", "Open"), option("shut", "Closed all day")],
        default="open",
    )
    opens = TimeField("Opens", [Optional()])
    closes = TimeField("Closes", [Optional()])


class SpanForm(Form):
    """From a moment to a moment; without times, whole days."""

    from_day = DayField("First day", [InputRequired("Choose the first day.")])
    from_time = TimeField("From, if not all day", [Optional()])
    until_day = DayField("Last day, if it is another", [Optional()])
    until_time = TimeField("Until, if not all day", [Optional()])
    reason = StringField(
        "Why", [InputRequired("Say why in a word or two, like “Snow”.")], filters=[tidy_line]
    )

    def span(self, site: Site) -> TimeSpan:
        """Return the span on the site's own clock.

        Raises:
            Invalid: it has no moment, or names one the clock skips.
        """
        first = self.from_day.data
        assert isinstance(first, date)
        last = self.until_day.data or first
        since = _moment(first, self.from_time.data or time(0), site, "from_time")
        if self.until_time.data is None:
            until = day_span(last, site.zone).end
        else:
            until = _moment(last, self.until_time.data, site, "until_time")
        if until <= since:
            raise Invalid(
                "The end must come after the beginning.",
                field="until_time" if self.until_time.data else "until_day",
            )
        return TimeSpan(since, until)


class ClosureForm(SpanForm):
    """A closure of a site, or of some of its chairs."""

    chairs = Ticks("Only these chairs, if the clinic stays open", validators=[Optional()])


def _moment(day: date, wall: time, site: Site, field: str) -> datetime:
    if wall.minute % 5:
        raise Invalid("Use steps of five minutes, like 8:05 AM.", field=field)
    if wall != time(0) and not exists(day, wall, site.zone):
        raise Invalid("The clock skips that time on that day.", field=field)
    return instant(day, wall, site.zone)


@bp.get("", strict_slashes=False)
def overview() -> ResponseReturnValue:
    """Show all the clinic can give, on one page."""
    now = clock.now()
    sites = queries.sites()
    page = render_template(
        "desk/supply/overview.html",
        sites=sites,
        chairs={s.id: len(places.chairs_of(s)) for s in sites},
        week={s.id: week_of(hours.hours_of(s), now.astimezone(s.zone).date()) for s in sites},
        closures={s.id: hours.closures(now=now, site=s) for s in sites},
        chair_names=_chair_names(),
        undecided={
            s.id: sum(1 for h in holidays.ahead(s, now=now) if h.is_closed is None) for s in sites
        },
        people=[p for p in roster.people() if p.retired_at is None],
        services=terms.services(),
        waiting=withdrawal.count_waiting(now=now),
    )
    return looked_at(page, "overview")


@bp.get("/sites/new")
def new_site() -> ResponseReturnValue:
    """Ask for another site."""
    return _new_site_page(NewSiteForm(starts=2), None)


@bp.post("/sites/new")
def open_site() -> ResponseReturnValue:
    """Open another site."""
    form = NewSiteForm()
    if not form.validate():
        return _new_site_page(form, None), 422
    try:
        with transaction():
            site = places.open_site(
                form.code.data or "",
                form.name.data or "",
                zone_name=str(form.zone_name.data),
                address=form.address.data or "",
                phone=form.phone.data or "",
                starts=_starts(form),
                actor=login.me().actor,
                now=clock.now(),
            )
            code = site.code
    except Refusal as refusal:
        return _new_site_page(form, refusal), refusal.status
    say("The clinic is there. Give it chairs and hours next.")
    return redirect(url_for(".show_site", code=code), code=303)


@bp.get("/sites/<string:code>")
def show_site(code: str) -> ResponseReturnValue:
    """Show a site: itself, its chairs, hours and closures."""
    return looked_at(_site_page(_site(code)), f"site-{code}")


@bp.get("/sites/<string:code>/edit")
def edit_site(code: str) -> ResponseReturnValue:
    """Show what a site is called and where it is in a form."""
    return _edit_page(code, None, None)


@bp.post("/sites/<string:code>/edit")
def change_site(code: str) -> ResponseReturnValue:
    """Change a site; fewer starts at a time may hit somebody."""
    form = SiteForm()
    site = _site(code)
    return carry_out(
        lambda: places.change_site(
            site,
            name=form.name.data or "",
            address=form.address.data or "",
            phone=form.phone.data or "",
            starts=_starts(form),
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        ),
        lambda refusal: _edit_page(code, form, refusal),
        form=form,
        question=f"Change {site.name}",
        done="Saved.",
        back=url_for(".show_site", code=code),
    )


@bp.get("/sites/<string:code>/chairs/new")
def new_chair(code: str) -> ResponseReturnValue:
    """Ask for another chair's name."""
    return _chair_page(code, None, ChairForm(), None)


@bp.post("/sites/<string:code>/chairs/new")
def add_chair(code: str) -> ResponseReturnValue:
    """Put another chair there."""
    form = ChairForm()
    return carry_out(
        lambda: places.add_chair(
            _site(code), form.name.data or "", actor=login.me().actor, now=clock.now()
        ),
        lambda refusal: _chair_page(code, None, form, refusal),
        form=form,
        question="Another chair",
        done="The chair is there.",
        back=url_for(".show_site", code=code),
    )


@bp.get("/sites/<string:code>/chairs/<int:chair_id>")
def edit_chair(code: str, chair_id: int) -> ResponseReturnValue:
    """Show a chair's name in a form."""
    return _chair_page(code, chair_id, None, None)


@bp.post("/sites/<string:code>/chairs/<int:chair_id>")
def rename_chair(code: str, chair_id: int) -> ResponseReturnValue:
    """Give a chair another name."""
    form = ChairForm()
    return carry_out(
        lambda: places.rename_chair(
            _chair(code, chair_id),
            form.name.data or "",
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        ),
        lambda refusal: _chair_page(code, chair_id, form, refusal),
        form=form,
        question="Another name",
        done="Renamed.",
        back=url_for(".show_site", code=code),
    )


@bp.post("/sites/<string:code>/chairs/<int:chair_id>/<any(up,down):way>")
def place_chair(code: str, chair_id: int, way: str) -> ResponseReturnValue:
    """Move a chair one place in the row of the board."""
    by = -1 if way == "up" else 1
    return carry_out(
        lambda: places.move_chair(
            _chair(code, chair_id), by, actor=login.me().actor, now=clock.now()
        ),
        lambda refusal: _site_page(_site(code), refusal),
        question="The order of the chairs",
        done="The order is changed.",
        back=url_for(".show_site", code=code),
    )


@bp.post("/sites/<string:code>/chairs/<int:chair_id>/<any(retire,restore):act>")
def retire_chair(code: str, chair_id: int, act: str) -> ResponseReturnValue:
    """Take a chair out of use for good, or back into use."""
    chair = _chair(code, chair_id)
    verb = places.retire if act == "retire" else places.restore
    return carry_out(
        lambda: verb(chair, actor=login.me().actor, now=clock.now()),
        lambda refusal: _site_page(_site(code), refusal),
        question=f"Take {chair.name} out of use",
        done=f"{chair.name} is {'out of use' if act == 'retire' else 'in use again'}.",
        back=url_for(".show_site", code=code),
    )


@bp.get("/sites/<string:code>/hours")
def ask_hours(code: str) -> ResponseReturnValue:
    """Show the hours, and ask for new ones."""
    return _hours_page(code, None, None)


@bp.post("/sites/<string:code>/hours")
def set_hours(code: str) -> ResponseReturnValue:
    """Open longer, shorter, or not at all, from a day on."""
    form = HoursForm()
    site = _site(code)

    def change() -> None:
        wanted = None
        if form.kind.data != "shut":
            if form.opens.data is None:
                raise Invalid("Enter when it opens.", field="opens")
            if form.closes.data is None:
                raise Invalid("Enter when it closes.", field="closes")
            wanted = (form.opens.data, form.closes.data)
        hours.set_hours(
            site,
            form.period(),
            wanted,
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        )

    return carry_out(
        change,
        lambda refusal: _hours_page(code, form, refusal),
        form=form,
        question=f"New hours at {site.name}",
        done="The hours are set.",
        back=url_for(".show_site", code=code),
    )


@bp.get("/sites/<string:code>/close")
def ask_close(code: str) -> ResponseReturnValue:
    """Ask when and why a site or some of its chairs are shut."""
    return _close_page(code, None, None)


@bp.post("/sites/<string:code>/close")
def close(code: str) -> ResponseReturnValue:
    """Shut a site, or some of its chairs."""
    form = ClosureForm()
    site = _site(code)
    form.chairs.choices = [option(str(c.id), c.name) for c in places.chairs_of(site)]
    some = bool(form.chairs.data)

    def change() -> None:
        chairs = [places.resource(int(n), ResourceKind.CHAIR) for n in form.chairs.data or ()]
        hours.close(
            site,
            form.span(site),
            form.reason.data or "",
            chairs=chairs,
            actor=login.me().actor,
            now=clock.now(),
        )

    return carry_out(
        change,
        lambda refusal: _close_page(code, form, refusal),
        form=form,
        question=f"Take chairs of {site.name} out" if some else f"Close {site.name}",
        done="The chairs are out." if some else f"{site.name} is closed then.",
        back=url_for(".show_site", code=code),
    )


@bp.post("/closures/<int:closure_id>/reopen")
def reopen(closure_id: int) -> ResponseReturnValue:
    """Take a closure back."""
    row = hours.closure(closure_id)
    site = next(s for s in queries.sites() if s.id == row.site_id)
    return carry_out(
        lambda: hours.reopen(hours.closure(closure_id), actor=login.me().actor, now=clock.now()),
        lambda refusal: _site_page(site, refusal),
        question="Open again",
        done="That time is open again.",
        back=url_for(".show_site", code=site.code),
    )


def week_of(rows: Sequence[OpeningHours], today: date) -> list[tuple[str, list[tuple[time, time]]]]:
    """Return, day by day of the week, the hours that hold today."""
    holding = [r for r in hours.not_over(rows, today) if r.valid_from <= today]
    return [
        (name, [(r.opens, r.closes) for r in holding if r.weekday == number])
        for number, name in enumerate(WEEKDAYS)
    ]


def _site(code: str) -> Site:
    return queries.site_called(code)


def _chair(code: str, chair_id: int) -> Resource:
    chair = places.resource(chair_id, ResourceKind.CHAIR)
    if chair.site_id != _site(code).id:
        raise NotFound("There is no such chair here.")
    return chair


def _starts(form: SiteForm) -> int:
    if form.starts.data is None:
        raise Invalid("Enter a whole number.", field="starts")
    return int(form.starts.data)


def _chair_names() -> dict[int, str]:
    return {
        c.id: c.name
        for s in queries.sites()
        for c in (*places.chairs_of(s), *places.chairs_of(s, retired=True))
    }


def _new_site_page(form: NewSiteForm, refusal: Refusal | None) -> str:
    return render_template(
        "desk/supply/site_edit.html",
        site=None,
        form=form,
        mark=None,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )


def _site_page(site: Site, refusal: Refusal | None = None) -> str:
    let_go()
    now = clock.now()
    today = now.astimezone(site.zone).date()
    rows = hours.hours_of(site)
    return render_template(
        "desk/supply/site.html",
        site=site,
        starts=len(places.lanes_in_use(places.starts_of(site))),
        chairs=places.chairs_of(site),
        retired=places.chairs_of(site, retired=True),
        week=week_of(rows, today),
        ahead=[r for r in rows if r.valid_from > today],
        ending=[
            r for r in rows if r.valid_from <= today and r.valid_until and r.valid_until >= today
        ],
        weekdays=WEEKDAYS,
        closures=hours.closures(now=now, site=site),
        chair_names=_chair_names(),
        undecided=sum(1 for h in holidays.ahead(site, now=now) if h.is_closed is None),
        today=today,
        refusal=refusal,
    )


def _edit_page(code: str, form: SiteForm | None, refusal: Refusal | None) -> str:
    let_go()
    site = _site(code)
    starts = len(places.lanes_in_use(places.starts_of(site)))
    now_is = {
        "Name": site.name,
        "Address": site.address,
        "Phone": shown(site.phone),
        "Visits that may start in one quarter-hour": starts,
    }
    if form is None:
        form = SiteForm(
            formdata=None, name=site.name, address=site.address, phone=site.phone, starts=starts
        )
    page = render_template(
        "desk/supply/site_edit.html",
        site=site,
        form=form,
        mark=keep_mark(refusal, places.mark_of_site(site)),
        stands=now_is if is_stale(refusal) else None,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"site-{code}")


def _chair_page(
    code: str, chair_id: int | None, form: ChairForm | None, refusal: Refusal | None
) -> str:
    let_go()
    site = _site(code)
    chair = _chair(code, chair_id) if chair_id else None
    if form is None:
        form = ChairForm(formdata=None, name=chair.name if chair else "")
    page = render_template(
        "desk/supply/chair.html",
        site=site,
        chair=chair,
        form=form,
        mark=keep_mark(refusal, mark(chair)) if chair else None,
        stands={"Name": chair.name} if chair and is_stale(refusal) else None,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"site-{code}")


def _hours_page(code: str, form: HoursForm | None, refusal: Refusal | None) -> str:
    let_go()
    site = _site(code)
    now = clock.now()
    today = now.astimezone(site.zone).date()
    rows = hours.hours_of(site)
    if form is None:
        form = HoursForm(formdata=None, valid_from=today, kind="open")
    page = render_template(
        "desk/supply/hours.html",
        site=site,
        form=form,
        rows=hours.not_over(rows, today),
        weekdays=WEEKDAYS,
        mark=keep_mark(refusal, mark(*rows)),
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"site-{code}")


def _close_page(code: str, form: ClosureForm | None, refusal: Refusal | None) -> str:
    let_go()
    site = _site(code)
    if form is None:
        today = clock.now().astimezone(site.zone).date()
        form = ClosureForm(formdata=None, from_day=today)
        form.chairs.choices = [option(str(c.id), c.name) for c in places.chairs_of(site)]
        asked = request.args.get("chair", "")
        form.chairs.data = [asked] if asked else []
    page = render_template(
        "desk/supply/close.html",
        site=site,
        form=form,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"site-{code}")


def is_stale(refusal: Refusal | None) -> bool:
    """Say whether somebody else was first, so that the page shows what stands now."""
    return refusal is not None and refusal.code == "stale"


def keep_mark(refusal: Refusal | None, stands: str) -> str:
    """Return the print the page carries: after another refusal still that of the first look."""
    return stands if is_stale(refusal) else typed_mark() or stands


def looked_at(page: str, name: str) -> str:
    """Record that somebody saw a page of the supply, and return it."""
    looks.note("supply.viewed", f"supply:{name}", once_in_a_while=True)
    return page
