"""People who give time to patients, kept by an administrator: skills, shifts, time off."""

from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectField, StringField, TimeField
from wtforms.validators import InputRequired, Length, Optional

from scheduler.accounts import queries as accounts
from scheduler.accounts import service as door
from scheduler.accounts.rules import Act
from scheduler.clinic import hours, places, queries, roster, rules
from scheduler.clinic.marks import mark
from scheduler.clinic.models import Resource, ResourceKind, Shift, Site
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.web import login
from scheduler.web.desk import refusals
from scheduler.web.desk.rooms import say
from scheduler.web.desk.supply import (
    WEEKDAYS,
    PeriodForm,
    SpanForm,
    Ticks,
    is_stale,
    keep_mark,
    looked_at,
)
from scheduler.web.desk.supply_flow import carry_out, told, typed_mark
from scheduler.web.fields import Form, WholeField, option, read_number, tidy_line
from scheduler.web.guards import requires

bp = Blueprint("desk_supply_people", __name__, url_prefix="/desk/supply/people")


class PersonForm(Form):
    """Who gives time, and what for."""

    name = StringField(
        "Name", [InputRequired("Enter a name."), Length(max=80)], filters=[tidy_line]
    )
    skills = Ticks("May", choices=[option(k, v) for k, v in rules.SKILLS.items()])
    lanes = WholeField("Visits they watch at the same time")


class ShiftsForm(PeriodForm):
    """Where and when somebody works."""

    kind = RadioField(
        "They",
        choices=[
            option("works", "Work"),
            option("beside", "Work then too, beside what stands there"),
            option("off", "Do not work"),
        ],
        default="works",
    )
    site = SelectField("At", validate_choice=False)
    since = TimeField("From", [Optional()])
    until = TimeField("Until", [Optional()])


class OffForm(SpanForm):
    """Time somebody is away."""

    site = SelectField("On the clock of", validate_choice=False)


@bp.get("", strict_slashes=False)
def show_people() -> ResponseReturnValue:
    """Show everybody, with what they do and when they are away."""
    now = clock.now()
    people = roster.people()
    page = render_template(
        "desk/supply/people.html",
        people=[p for p in people if p.retired_at is None],
        gone=[p for p in people if p.retired_at is not None],
        skills={p.id: _skill_words(p) for p in people},
        lanes={p.id: len(places.lanes_in_use(p)) for p in people},
        off={p.id: roster.off_of(p, now=now) for p in people},
        zone=_first_zone(),
    )
    return looked_at(page, "people")


@bp.get("/new")
def new_person() -> ResponseReturnValue:
    """Ask for another person."""
    return _person_form(None, PersonForm(formdata=None, lanes=1), None)


@bp.post("/new")
def add_person() -> ResponseReturnValue:
    """Take another person on."""
    form = PersonForm()
    if not form.validate():
        return _person_form(None, form, None), 422
    try:
        with transaction():
            person = roster.add_person(
                form.name.data or "",
                form.skills.data or (),
                _lanes(form),
                actor=login.me().actor,
                now=clock.now(),
            )
            number = person.id
    except Refusal as refusal:
        return _person_form(None, form, refusal), refusal.status
    say("They are there. Give them shifts next.")
    return redirect(url_for(".show_person", person_id=number), code=303)


@bp.get("/<int:person_id>")
def show_person(person_id: int) -> ResponseReturnValue:
    """Show one person: what they may do, their shifts, their time off."""
    return looked_at(_person_page(person_id), f"person-{person_id}")


@bp.get("/<int:person_id>/edit")
def edit_person(person_id: int) -> ResponseReturnValue:
    """Show what a person may do in a form."""
    return _person_form(person_id, None, None)


@bp.post("/<int:person_id>/edit")
def change_person(person_id: int) -> ResponseReturnValue:
    """Change what a person may do; less of it may hit somebody."""
    form = PersonForm()
    person = _person(person_id)
    return carry_out(
        lambda: roster.change_person(
            person,
            name=form.name.data or "",
            skills=form.skills.data or (),
            lanes=_lanes(form),
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        ),
        lambda refusal: _person_form(person_id, form, refusal),
        form=form,
        question=f"Change {person.name}",
        done="Saved.",
        back=url_for(".show_person", person_id=person_id),
    )


@bp.post("/<int:person_id>/<any(retire,restore):act>")
def retire_person(person_id: int, act: str) -> ResponseReturnValue:
    """Note that somebody works here no more, or again."""
    person = _person(person_id)
    verb = places.retire if act == "retire" else places.restore
    return carry_out(
        lambda: verb(person, actor=login.me().actor, now=clock.now()),
        lambda refusal: _person_page(person_id, refusal),
        question=f"{person.name} leaves",
        done=f"{person.name} {'has left' if act == 'retire' else 'is back'}.",
        back=url_for(".show_person", person_id=person_id),
    )


@bp.post("/<int:person_id>/account")
@requires(Act.CHANGE_STAFF)
def choose_account(person_id: int) -> ResponseReturnValue:
    """Say which sign-in is this person."""
    chosen = request.form.get("account", "")
    try:
        with transaction():
            number = read_number(chosen)
            if chosen and number is None:
                raise Invalid("Choose from the list.", field="account")
            door.choose_account(
                _person(person_id),
                None if number is None else accounts.staff(number),
                seen=typed_mark(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        refusal = told(refusal)
        return looked_at(_person_page(person_id, refusal), f"person-{person_id}"), refusal.status
    say("Saved.")
    return redirect(url_for(".show_person", person_id=person_id), code=303)


@bp.get("/<int:person_id>/shifts")
def ask_shifts(person_id: int) -> ResponseReturnValue:
    """Show a person's shifts, and ask for new ones."""
    return _shifts_page(person_id, None, None)


@bp.post("/<int:person_id>/shifts")
def set_shifts(person_id: int) -> ResponseReturnValue:
    """Set where and when somebody works; a single day is an exception."""
    form = ShiftsForm()
    person = _person(person_id)

    def change() -> None:
        at = None
        if form.kind.data != "off":
            if form.since.data is None:
                raise Invalid("Enter when it begins.", field="since")
            if form.until.data is None:
                raise Invalid("Enter when it ends.", field="until")
            at = (queries.site_called(str(form.site.data)), form.since.data, form.until.data)
        roster.set_shifts(
            person,
            form.period(),
            at,
            beside=form.kind.data == "beside",
            seen=typed_mark(),
            actor=login.me().actor,
            now=clock.now(),
        )

    return carry_out(
        change,
        lambda refusal: _shifts_page(person_id, form, refusal),
        form=form,
        question=f"New shifts of {person.name}",
        done="The shifts are set.",
        back=url_for(".show_person", person_id=person_id),
    )


@bp.get("/<int:person_id>/off")
def ask_off(person_id: int) -> ResponseReturnValue:
    """Ask when somebody is away."""
    return _off_page(person_id, None, None)


@bp.post("/<int:person_id>/off")
def take_off(person_id: int) -> ResponseReturnValue:
    """Note that somebody is away."""
    form = OffForm()
    person = _person(person_id)
    return carry_out(
        lambda: roster.take_off(
            person,
            form.span(queries.site_called(str(form.site.data))),
            form.reason.data or "",
            actor=login.me().actor,
            now=clock.now(),
        ),
        lambda refusal: _off_page(person_id, form, refusal),
        form=form,
        question=f"{person.name} is away",
        done="Noted.",
        back=url_for(".show_person", person_id=person_id),
    )


@bp.post("/off/<int:off_id>/back")
def be_back(off_id: int) -> ResponseReturnValue:
    """Take time off back."""
    person_id = roster.time_off(off_id).resource_id
    return carry_out(
        lambda: roster.be_back(roster.time_off(off_id), actor=login.me().actor, now=clock.now()),
        lambda refusal: _person_page(person_id, refusal),
        question="Back again",
        done="They are back in the plan.",
        back=url_for(".show_person", person_id=person_id),
    )


def _person(number: int) -> Resource:
    return places.resource(number, ResourceKind.PERSON)


def _lanes(form: PersonForm) -> int:
    if form.lanes.data is None:
        raise Invalid("Enter a whole number.", field="lanes")
    return int(form.lanes.data)


def _skill_words(person: Resource) -> list[str]:
    has = roster.skills_of(person)
    return [words for skill, words in rules.SKILLS.items() if skill in has]


def _person_page(person_id: int, refusal: Refusal | None = None) -> str:
    let_go()
    person = _person(person_id)
    now = clock.now()
    today = now.astimezone(_first_zone()).date()
    return render_template(
        "desk/supply/person.html",
        person=person,
        skills=_skill_words(person),
        lanes=len(places.lanes_in_use(person)),
        shifts=hours.not_over(list(roster.shifts_of(person)), today),
        off=roster.off_of(person, now=now),
        sites={s.id: s for s in queries.sites()},
        weekdays=WEEKDAYS,
        zone=_first_zone(),
        today=today,
        account=accounts.account_of(person.id),
        accounts=accounts.without_a_person(),
        mark=door.mark_of_account(person.id),
        refusal=refusal,
    )


def _person_form(person_id: int | None, form: PersonForm | None, refusal: Refusal | None) -> str:
    let_go()
    person = _person(person_id) if person_id else None
    stands = None
    if person is not None:
        has, lanes = roster.skills_of(person), len(places.lanes_in_use(person))
        if form is None:
            form = PersonForm(formdata=None, name=person.name, skills=sorted(has), lanes=lanes)
        if is_stale(refusal):
            stands = {
                "Name": person.name,
                "May": ", ".join(_skill_words(person)) or "nothing yet",
                "At the same time": lanes,
            }
    assert form is not None
    page = render_template(
        "desk/supply/person_edit.html",
        person=person,
        form=form,
        mark=keep_mark(refusal, roster.mark_of_person(person)) if person else None,
        stands=stands,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"person-{person_id}" if person_id else "people")


def _shifts_page(person_id: int, form: ShiftsForm | None, refusal: Refusal | None) -> str:
    let_go()
    person = _person(person_id)
    sites = queries.sites()
    rows = list(roster.shifts_of(person))
    today = clock.now().astimezone(_first_zone()).date()
    if form is None:
        form = ShiftsForm(formdata=None, valid_from=today, kind="works", site=_home(rows, sites))
    form.site.choices = [option(s.code, s.name) for s in sites]
    page = render_template(
        "desk/supply/shifts.html",
        person=person,
        form=form,
        rows=hours.not_over(rows, today),
        sites={s.id: s for s in sites},
        weekdays=WEEKDAYS,
        mark=keep_mark(refusal, mark(*rows)),
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"person-{person_id}")


def _off_page(person_id: int, form: OffForm | None, refusal: Refusal | None) -> str:
    let_go()
    person = _person(person_id)
    sites = queries.sites()
    if form is None:
        today = clock.now().astimezone(_first_zone()).date()
        home = _home(list(roster.shifts_of(person)), sites)
        form = OffForm(formdata=None, from_day=today, site=home)
    form.site.choices = [option(s.code, s.name) for s in sites]
    page = render_template(
        "desk/supply/off.html",
        person=person,
        form=form,
        several=len({s.zone_name for s in sites}) > 1,
        refusal=refusals.at_its_field(form, refusal) if refusal else None,
    )
    return looked_at(page, f"person-{person_id}")


def _home(rows: list[Shift], sites: list[Site]) -> str:
    """Return the code of the site somebody works at first, else of the first site."""
    mine = {r.site_id for r in rows}
    return next((s.code for s in sites if s.id in mine), sites[0].code if sites else "")


def _first_zone() -> ZoneInfo:
    return queries.sites()[0].zone
