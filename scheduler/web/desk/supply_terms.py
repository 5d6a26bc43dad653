"""What services are and take, a site's numbers, and public holidays, kept by an administrator."""

from datetime import date

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from scheduler.clinic import holidays, hours, queries, rules, terms
from scheduler.clinic.models import Closure, NeedKind, Service, ServiceCode, Site
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Refusal
from scheduler.core.timespan import day_span
from scheduler.web import login
from scheduler.web.desk import refusals
from scheduler.web.desk.rooms import say
from scheduler.web.desk.supply import is_stale, keep_mark, looked_at
from scheduler.web.desk.supply_flow import carry_out, number_of, told, typed_mark
from scheduler.web.fields import Form, WholeField, option, tidy_line

bp = Blueprint("desk_supply_terms", __name__, url_prefix="/desk/supply")

NEED_WORDS = {
    NeedKind.CHAIR: "Chair",
    NeedKind.PERSON: "Person",
    NeedKind.STARTS: "Start",
}


class ServiceForm(Form):
    """A service's own terms; the minutes of what it takes are plain fields beside them."""

    name = StringField(
        "Name for staff", [InputRequired("Enter a name."), Length(max=80)], filters=[tidy_line]
    )
    visit_minutes = WholeField("The whole stay, in minutes")
    notice_hours = WholeField("Booked at least so many hours ahead")
    horizon_days = WholeField("Booked at most so many days ahead")
    is_online = BooleanField("Patients can book it online")
    chair_taken = BooleanField("It takes a chair")
    chair_from = WholeField("From minute", [Optional()])
    chair_until = WholeField("Until minute", [Optional()])
    person_taken = BooleanField("It takes a person")
    person_from = WholeField("From minute", [Optional()])
    person_until = WholeField("Until minute", [Optional()])
    person_skill = SelectField(
        "The skill it needs",
        choices=[
            *(option(k, v) for k, v in rules.SKILLS.items()),
            option("", "None: anybody may do it"),
        ],
        validate_choice=False,
    )
    person_whole = BooleanField("It takes the whole person: nothing else at the same time")
    starts_taken = BooleanField("It counts as a start, of which there are only so many at once")
    starts_from = WholeField("From minute", [Optional()])
    starts_until = WholeField("Until minute", [Optional()])


@bp.get("/services/<string:code>")
def edit_service(code: str) -> ResponseReturnValue:
    """Show a service's terms in a form."""
    return _service_page(code, None, None)


@bp.post("/services/<string:code>")
def change_service(code: str) -> ResponseReturnValue:
    """Change what is booked from now on."""
    form = ServiceForm()
    row = terms.service_called(code)
    kinds = [kind for kind in NeedKind if form[f"{kind.value}_taken"].data]

    def change() -> None:
        terms.change_service(
            row,
            name=form.name.data or "",
            visit_minutes=_typed("visit_minutes"),
            notice_minutes=60 * _typed("notice_hours"),
            horizon_days=_typed("horizon_days"),
            is_online=bool(form.is_online.data),
            needs={k: (_typed(f"{k.value}_from"), _typed(f"{k.value}_until")) for k in kinds},
            skill=_skill(form, row),
            whole_person=bool(form.person_whole.data),
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        )

    return carry_out(
        change,
        lambda refusal: _service_page(code, form, refusal),
        form=form,
        question=f"Change {row.name}",
        done="Saved. What is booked already keeps its times.",
        back=url_for("desk_supply.overview"),
    )


@bp.get("/sites/<string:code>/numbers")
def edit_settings(code: str) -> ResponseReturnValue:
    """Show the numbers a site chooses for itself."""
    return _settings_page(code, None)


@bp.post("/sites/<string:code>/numbers")
def change_settings(code: str) -> ResponseReturnValue:
    """Choose a site's numbers."""
    site = queries.site_called(code)
    try:
        with transaction():
            values = {name: number_of(request.form.get(name), name) for name in terms.CHOICES}
            changed = terms.choose_all(
                site,
                values,
                consent=request.form.get(terms.CONSENT),
                seen=typed_mark(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _settings_page(code, told(refusal)), refusal.status
    say("Saved." if changed else "Nothing was different.")
    return redirect(url_for("desk_supply.show_site", code=code), code=303)


@bp.get("/sites/<string:code>/holidays")
def show_holidays(code: str) -> ResponseReturnValue:
    """Show the public holidays ahead, and what was decided of each."""
    return _holidays_page(code, None)


@bp.post("/sites/<string:code>/holidays/<date:day>/close")
def close_on_holiday(code: str, day: date) -> ResponseReturnValue:
    """Shut a site on a public holiday."""
    site = queries.site_called(code)
    holiday = holidays.holiday_on(site, day, now=clock.now())

    def change() -> None:
        actor, now = login.me().actor, clock.now()
        hours.close(site, day_span(day, site.zone), holiday.name, actor=actor, now=now)
        holidays.answer_holiday(site, day, holiday.name, is_closed=True, actor=actor, now=now)

    return carry_out(
        change,
        lambda refusal: _holidays_page(code, refusal),
        question=f"{site.name} is closed on {holiday.name}",
        done=f"{site.name} is closed on {holiday.name}.",
        back=url_for(".show_holidays", code=code),
    )


@bp.post("/sites/<string:code>/holidays/<date:day>/<any(open,ask):act>")
def decide_holiday(code: str, day: date, act: str) -> ResponseReturnValue:
    """Stay open on a public holiday, or take the decision back so that it is asked again."""
    site = queries.site_called(code)
    try:
        holiday = holidays.holiday_on(site, day, now=clock.now())
        with transaction():
            actor, now = login.me().actor, clock.now()
            if act == "open":
                holidays.answer_holiday(
                    site, day, holiday.name, is_closed=False, actor=actor, now=now
                )
            else:
                holidays.forget_holiday(site, day, actor=actor, now=now)
    except Refusal as refusal:
        return _holidays_page(code, refusal), refusal.status
    say("Noted: open as usual." if act == "open" else "It is to be decided again.")
    return redirect(url_for(".show_holidays", code=code), code=303)


def _skill(form: ServiceForm, row: Service) -> str | None:
    """Return what was chosen; a page that did not ask leaves it as it is."""
    chosen: str | None = form.person_skill.data
    return terms.skill_of(row) if chosen is None else chosen or None


def _typed(name: str) -> int:
    return number_of(request.form.get(name), name)


def _service_page(code: str, form: ServiceForm | None, refusal: Refusal | None) -> str:
    let_go()
    row = terms.service_called(code)
    has = terms.needs_of(row)
    minutes: dict[str, object] = {"person_whole": terms.takes_whole_person(row)}
    for kind in NeedKind:
        since, until = has.get(kind, (0, row.visit_minutes))
        minutes |= {
            f"{kind.value}_taken": kind in has,
            f"{kind.value}_from": since,
            f"{kind.value}_until": until,
        }
    if form is None:
        form = ServiceForm(
            formdata=None,
            name=row.name,
            visit_minutes=row.visit_minutes,
            notice_hours=row.notice_minutes // 60,
            horizon_days=row.horizon_days,
            is_online=row.is_online,
            person_skill=terms.skill_of(row) or "",
            data=minutes,
        )
    stands = {
        "Name": row.name,
        "Stay": f"{row.visit_minutes} minutes",
        "Notice": f"{row.notice_minutes // 60} hours",
        "Ahead": f"{row.horizon_days} days",
        "Online": "yes" if row.is_online else "no",
        "Skill": rules.SKILLS.get(terms.skill_of(row) or "", "none"),
        "Takes": ", ".join(
            f"{NEED_WORDS[kind].lower()} from {since} to {until}"
            for kind, (since, until) in has.items()
        )
        + (" (the whole person)" if terms.takes_whole_person(row) else ""),
    }
    page = render_template(
        "desk/supply/service.html",
        service=row,
        form=form,
        needs=[
            (
                NEED_WORDS[kind],
                form[f"{kind.value}_taken"],
                form[f"{kind.value}_from"],
                form[f"{kind.value}_until"],
                kind is NeedKind.PERSON,
            )
            for kind in NeedKind
        ],
        can_be_online=row.code is ServiceCode.CALL,
        mark=keep_mark(refusal, terms.mark_of_service(row)),
        stands=stands if is_stale(refusal) else None,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"service-{code}")


def _settings_page(code: str, refusal: Refusal | None) -> str:
    let_go()
    site: Site = queries.site_called(code)
    stands = terms.chosen(site)
    typed = {name: request.form.get(name, str(value)) for name, value in stands.items()}
    differs: dict[str, object] = {
        terms.CHOICES[name].label: value
        for name, value in stands.items()
        if typed[name] != str(value)
    }
    consent = request.form.get(terms.CONSENT, terms.consent_in_use(site))
    if consent != terms.consent_in_use(site):
        differs["The consent form in use"] = terms.consent_in_use(site)
    page = render_template(
        "desk/supply/numbers.html",
        site=site,
        choices=terms.CHOICES,
        typed=typed,
        consent=consent,
        wrong=refusal.field if refusal else None,
        mark=keep_mark(refusal, terms.mark_of_settings(site)),
        stands=differs if is_stale(refusal) else None,
        refusal=refusal,
    )
    return looked_at(page, f"numbers-{code}")


def _holidays_page(code: str, refusal: Refusal | None) -> str:
    let_go()
    site = queries.site_called(code)
    now = clock.now()
    shut = hours.closures(now=now, site=site)
    listed = holidays.ahead(site, now=now)
    page = render_template(
        "desk/supply/holidays.html",
        site=site,
        listed=[
            (h, next((c for c in shut if c.resource_id is None and _covers(c, h.day, site)), None))
            for h in listed
        ],
        refusal=refusal,
    )
    return looked_at(page, f"holidays-{code}")


def _covers(closure: Closure, day: date, site: Site) -> bool:
    whole = day_span(day, site.zone)
    return closure.starts_at <= whole.start and closure.ends_at >= whole.end
