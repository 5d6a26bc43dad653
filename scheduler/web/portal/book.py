"""A visitor books a call: where, when, who. Four screens, and nothing needs JavaScript."""

import threading
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from flask import (
    Blueprint,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from scheduler.audit.service import origin
from scheduler.booking import forms, notices, offers, queries
from scheduler.booking import service as booking
from scheduler.booking.errors import FormUsed, HoldGone, NotOffered, SlotTaken, TooManyHolds
from scheduler.booking.models import Appointment, Hold, HoldKind
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode
from scheduler.core import clock
from scheduler.core.db import db, transaction
from scheduler.core.errors import Refusal
from scheduler.core.tokens import mint
from scheduler.messaging import consent
from scheduler.patients import service as patients
from scheduler.patients.models import Pain, PainSince
from scheduler.plans import service as plans
from scheduler.web import display, i18n, visitor
from scheduler.web.fields import read_aware, read_number
from scheduler.web.i18n import gettext as _
from scheduler.web.portal import dates, limits, words
from scheduler.web.portal.details import DetailsForm
from scheduler.web.portal.times import EITHER, Times, Where, best_site, times, where


class Enough(Refusal):
    """This number or address has booked its share online."""

    code = "enough"
    status = 429


def join(bp: Blueprint) -> None:
    """Add the four screens to the public blueprint."""
    bp.add_url_rule("/book", "where", choose_where)
    bp.add_url_rule("/book/time", "time", choose_time)
    bp.add_url_rule("/book/time", "keep", keep, methods=["POST"])
    bp.add_url_rule("/book/details", "details", details)
    bp.add_url_rule("/book/details", "book", book, methods=["POST"])


def choose_where() -> ResponseReturnValue:
    """Ask which clinic."""
    asked = where(request.args.get("site"))
    return render_template("portal/where.html", chosen=asked.code if asked else EITHER)


def choose_time() -> ResponseReturnValue:
    """Ask which day and time."""
    place = where(request.args.get("site"))
    if place is None:
        return redirect(url_for("portal.where"), code=303)
    notice = _("Please choose your time once more.") if request.args.get("again") else None
    return time_page(place, notice=notice)


def keep() -> ResponseReturnValue:
    """Hold the chosen time for this browser and go on to the details."""
    place = where(request.form.get("site"))
    if place is None:
        return redirect(url_for("portal.where"), code=303)
    start = read_aware(request.form.get("start"))
    if start is None:
        return time_page(place, start_wrong=_("Choose one of the times."), status=422)
    try:
        hold_id = _hold(place, start, now=clock.now())
    except (SlotTaken, NotOffered):
        return time_page(place, notice=taken_words(start, place), status=409)
    except TooManyHolds:
        return time_page(
            place,
            notice=_(
                "Many people are choosing a time on that day right now. "
                "Please try another day, or try again in a few minutes."
            ),
            status=429,
        )
    day = start.astimezone(place.zone).date().isoformat()
    return redirect(url_for("portal.details", hold=hold_id, site=place.code, day=day), code=303)


def details() -> ResponseReturnValue:
    """Ask who we shall call."""
    kept = _own_hold(request.args.get("hold"))
    place = where(request.args.get("site"))
    if kept is None or place is None:
        return redirect(
            url_for(
                "portal.time",
                site=place.code if place else EITHER,
                day=request.args.get("day"),
                again=1,
            ),
            code=303,
        )
    form = DetailsForm(
        formdata=None,
        data={
            "language": i18n.language(),
            "token": mint(),
            "hold": str(kept.id),
            "site": place.code,
            "day": kept.starts_at.astimezone(place.zone).date().isoformat(),
            "start": kept.starts_at,
        },
    )
    return _details_page(form, place)


def book() -> ResponseReturnValue:
    """Book the call; whatever stands in the way, nothing typed is lost."""
    spoken = i18n.known(request.form.get("speak"))
    g.language = spoken or g.get("language")
    form = DetailsForm()
    place = where(form.site.data)
    if place is None or not form.token.data:
        return redirect(url_for("portal.where"), code=303)
    if spoken:
        response = make_response(_details_page(form, place))
        i18n.set_cookie(response, spoken)
        return response
    if request.form.get("more"):
        return _details_page(form, place, alternatives=_keep_longer(form, place))
    if not form.validate():
        others_free = _keep_longer(form, place)
        return _details_page(form, place, wrong=form.wrong(), alternatives=others_free, status=422)
    return _try_to_book(form, place)


def _try_to_book(form: DetailsForm, place: Where) -> ResponseReturnValue:
    now = clock.now()
    start = form.start.data
    if start is None:
        return _details_page(form, place, alternatives=_keep_longer(form, place), status=422)
    if form.reference.data:
        return _details_page(form, place, wrong=[(None, _by_phone(place))], status=422)
    try:
        with _TURNS[hash(start) % len(_TURNS)]:
            instead = _instead(form, place, start, now=now)
            token = None if instead is not None else _booked(form, place, start, now=now)
        if token is None:
            return _details_page(form, place, alternatives=instead, status=409)
    except (SlotTaken, NotOffered, TooManyHolds):
        return _details_page(
            form, place, alternatives=_alternatives(place, start, now=now), status=409
        )
    except FormUsed:
        return _details_page(
            form,
            place,
            wrong=[(None, _("This form was already sent. Please start again to book one more."))],
            status=409,
        )
    except Enough as refusal:
        return _details_page(form, place, wrong=[(None, refusal.message)], status=refusal.status)
    visitor.open_visit(token, is_booker=True, now=now)
    return redirect(url_for("visit.booked"), code=303)


#: Who wants a time that somebody else of this process is booking waits for the end of that, and
#: looks then: else all would look, find it free, and queue up in the database for nothing. It
#: only saves work; that nobody is booked twice is the database's business.
_TURNS = [threading.Lock() for _ in range(61)]


def _booked(form: DetailsForm, place: Where, start: datetime, *, now: datetime) -> str:
    """Book what the form says; return the token of the patient's own page."""
    holder = visitor.new_holder()
    with transaction():
        appointment = _book_once(form, place, start, holder=holder, now=now)
        return notices.page_token(appointment, now=now)


def _instead(
    form: DetailsForm, place: Where, start: datetime, *, now: datetime
) -> list[Offer] | None:
    """Return what else is free when the time is gone already, or None while it may be had.

    In a rush most come too late: they are told at once, by one look at the book, and keep nobody
    waiting. Whoever is not told here may still hear it from the booking.
    """
    kept = _own_hold(form.hold.data)
    if kept is not None and kept.starts_at == start:
        return None
    near = _near(place, start, now=now)
    if any(o.starts_at == start for o in near):
        return None
    # Asked after the look: what this very form booked meanwhile is seen by both, or by neither.
    if forms.known_result(form.token.data or "", form.body(), now=now) is not None:
        return None
    return _nearest(near, start)


def _book_once(
    form: DetailsForm, place: Where, start: datetime, *, holder: str, now: datetime
) -> Appointment:
    """Book what the form says, or return what the same form booked before."""
    token, body = form.token.data or "", form.body()
    earlier = forms.earlier_result(token, body, now=now)
    if earlier is not None:
        booked = queries.by_topic(earlier)
        assert booked is not None
        return booked
    kept = _own_hold(form.hold.data)
    if kept is None or kept.starts_at != start:
        site_id = best_site(place, start, now=now)  # first: most who wait for a time get none
        kept = None
    settings = clinic_supply.current().sites[place.sites[0].id].settings
    mobile = form.mobile.data or ""
    if limits.reached(mobile, origin.get()[0], settings, now=now):
        raise Enough(_by_phone(place))
    if kept is None:
        kept = booking.hold(ServiceCode.CALL, site_id, start, holder=holder, now=now)
    patient = patients.enquire(
        form.given_name.data or "",
        form.family_name.data or "",
        mobile=mobile,
        email=form.email.data or None,
        language=form.language.data,
        pain=Pain(form.pain.data),
        pain_since=PainSince(form.pain_since.data) if form.pain_since.data else None,
        tried=form.tried.data or None,
        home_site_id=None if place.is_either else kept.site_id,
        actor="visitor",
        now=now,
    )
    if form.consent.data:
        consent.grant(
            patient,
            mobile,
            words.consent(),
            source="portal",
            actor="visitor",
            origin=origin.get()[0],
            now=now,
        )
    appointment = plans.book_held(kept.id, holder=holder, patient=patient, actor="visitor", now=now)
    forms.spend(token, body, appointment.topic, now=now)
    return appointment


def _hold(place: Where, start: datetime, *, now: datetime) -> int:
    holder = visitor.new_holder()
    with transaction():
        own = _newest_hold(holder)
        if own is not None and own.starts_at == start and own.site_id in place.site_ids:
            site_id = own.site_id
        else:
            site_id = best_site(place, start, now=now)
        return booking.hold(ServiceCode.CALL, site_id, start, holder=holder, now=now).id


def _own_hold(number: str | None) -> Hold | None:
    """Return this browser's hold of that number, expired or not."""
    holder = visitor.holder()
    hold_id = read_number(number)
    if holder is None or hold_id is None:
        return None
    try:
        return booking.find_hold(hold_id, holder=holder)
    except HoldGone:
        return None


def _newest_hold(holder: str | None) -> Hold | None:
    if holder is None:
        return None
    return db.session.scalar(
        select(Hold)
        .where(Hold.holder == holder, Hold.kind == HoldKind.FORM)
        .order_by(Hold.id.desc())
        .limit(1)
    )


def _keep_longer(form: DetailsForm, place: Where) -> list[Offer] | None:
    """Give the chosen time ten minutes more; one that ran out, or a new one, is held anew.

    Returns:
        None when the time is kept; else, what is free near it.
    """
    now, start = clock.now(), form.start.data
    kept = _own_hold(form.hold.data)
    if start is None:
        return _alternatives(place, kept.starts_at if kept else now, now=now)
    try:
        if kept is not None and kept.starts_at == start and kept.expires_at > now:
            with transaction():
                booking.renew(booking.find_hold(kept.id, holder=kept.holder), now=now)
        else:
            form.hold.data = str(_hold(place, start, now=now))
    except (SlotTaken, NotOffered, TooManyHolds, HoldGone):
        return _alternatives(place, start, now=now)
    return None


def _details_page(
    form: DetailsForm,
    place: Where,
    *,
    wrong: Sequence[tuple[str | None, str]] = (),
    alternatives: list[Offer] | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    now = clock.now()
    kept = _own_hold(form.hold.data)
    is_held = kept is not None and kept.starts_at == form.start.data and kept.expires_at > now
    longest = (
        kept.first_held_at
        + timedelta(
            minutes=clinic_supply.current().sites[kept.site_id].settings.form_hold_longest_minutes
        )
        if kept
        else now
    )
    taken = None
    if alternatives is not None:
        start = form.start.data
        taken = taken_words(start, place) if start else _("Choose one of the times.")
        wrong = [("start" if alternatives else None, taken), *wrong]
    return (
        render_template(
            "portal/details.html",
            form=form,
            zone=place.zone,
            now=now,
            held_until=kept.expires_at if kept and is_held else None,
            can_extend=kept is not None and is_held and kept.expires_at < longest,
            wrong=wrong,
            alternatives=alternatives,
            taken_words=taken,
            consent_words=words.consent(),
        ),
        status,
    )


def time_page(
    place: Where,
    *,
    notice: str | None = None,
    start_wrong: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    """Show the days and times of a place, with what is wrong."""
    now = clock.now()
    asked = asked_day(place, now=now)
    own = _newest_hold(visitor.holder())
    shown = times(place, asked.day, now=now, but_hold=own.id if own else None)
    return (
        render_template(
            "portal/time.html",
            times=shown,
            about=_about(place),
            notice=notice,
            chosen_start=request.values.get("start", ""),
            start_wrong=start_wrong,
            wrong=wrong_list(asked, start_wrong),
            typed_date=asked.typed,
            date_wrong=asked.wrong,
            empty_words=empty_words(shown),
            others=others(place),
            address=lambda day: url_for("portal.time", site=place.code, day=day.isoformat()),
            other_address=lambda code: url_for(
                "portal.time", site=code, day=shown.chosen.isoformat() if shown.chosen else None
            ),
        ),
        422 if asked.wrong and status == 200 else status,
    )


class Asked:
    """Which day was asked for, as typed and as understood."""

    def __init__(self, day: date | None, typed: str = "", wrong: str | None = None) -> None:
        self.day, self.typed, self.wrong = day, typed, wrong


def asked_day(place: Where, *, now: datetime) -> Asked:
    """Read the day from the address or the form: one of the strip's, or typed by hand."""
    today = now.astimezone(place.zone).date()
    typed = request.args.get("date", "").strip()[:40]
    if not typed:
        try:
            return Asked(date.fromisoformat(request.values.get("day", "")))
        except ValueError:
            return Asked(None)
    try:
        day = dates.read(typed, today=today)
    except dates.NotADate:
        return Asked(
            None,
            typed,
            _("We cannot read this date. Type it like %(example)s.", example=f"{today:%m/%d/%Y}"),
        )
    offering = clinic_supply.current().services[ServiceCode.CALL]
    last = (now + offering.horizon).astimezone(place.zone).date()
    if day < today:
        return Asked(None, typed, _("%(day)s is in the past.", day=display.full_date(day)))
    if day > last:
        return Asked(
            None,
            typed,
            _("We book calls up to %(day)s. Choose a date before that.", day=display.day(last)),
        )
    return Asked(day, typed)


def wrong_list(asked: Asked, start_wrong: str | None) -> list[tuple[str, str]]:
    """Return what is wrong on a page of times, each with the id of its field."""
    found = []
    if asked.wrong:
        found.append(("date", asked.wrong))
    if start_wrong:
        found.append(("start", start_wrong))
    return found


def others(place: Where) -> list[clinic_supply.SiteSupply]:
    """Return the clinics not looked at; none when either would do."""
    return [s for s in clinic_supply.current().sites.values() if s.id not in place.site_ids]


def empty_words(shown: Times) -> str:
    """Say why the chosen day shows no time."""
    if shown.chosen is None:
        return _("There is no free time in the next weeks. Please call us.")
    day = display.long_day(shown.chosen)
    if shown.is_shut:
        return _("We make no calls on %(day)s.", day=day)
    if shown.where.is_either:
        return _("Both clinics are full on %(day)s.", day=day)
    return _("%(place)s is full on %(day)s.", place=shown.where.sites[0].name, day=day)


def taken_words(start: datetime | None, place: Where) -> str:
    """Say that a time is gone, naming it."""
    if start is None:
        return _("That time was just taken. Please choose another.")
    return _(
        "%(when)s was just taken by someone else. Please choose another time.",
        when=display.moment(start, place.zone),
    )


def _alternatives(place: Where, start: datetime, *, now: datetime) -> list[Offer]:
    return _nearest(_near(place, start, now=now), start)


def _near(place: Where, start: datetime, *, now: datetime) -> list[Offer]:
    return offers.nearest(
        ServiceCode.CALL,
        site_ids=place.site_ids,
        around=start,
        now=now,
        audience=Audience.ONLINE,
        most=8,
    )


def _nearest(found: Sequence[Offer], start: datetime) -> list[Offer]:
    by_start = {o.starts_at: o for o in found if o.starts_at != start}
    return [by_start[s] for s in sorted(by_start, key=lambda s: abs(s - start))[:4]]


def _about(place: Where) -> str:
    zone = current_app.jinja_env.filters["zone_words"](place.zone)
    minutes = clinic_supply.current().services[ServiceCode.CALL].visit_minutes
    if place.is_either:
        return _(
            "A free %(n)s-minute call with our team. We call you. All times are %(zone)s.",
            n=minutes,
            zone=zone,
        )
    return _(
        "A free %(n)s-minute call with our team at %(place)s. We call you. All times are %(zone)s.",
        n=minutes,
        place=place.sites[0].name,
        zone=zone,
    )


def _by_phone(place: Where) -> str:
    return _(
        "We cannot book this online. Please call us at %(phone)s and we will find a time together.",
        phone=display.phone(place.sites[0].phone),
    )
