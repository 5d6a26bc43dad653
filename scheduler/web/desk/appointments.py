"""One appointment: what it is, and every verb that may be done to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import (
    BooleanField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import InputRequired, Length, Optional

from scheduler.accounts.rules import Act
from scheduler.booking import offers, seats
from scheduler.booking import queries as book
from scheduler.booking.errors import SlotTaken
from scheduler.booking.models import Appointment, Status
from scheduler.booking.offers import Audience, Offer
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import NeedKind, ServiceCode
from scheduler.clinic.supply import SiteSupply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.timespan import PartOfDay, TimeSpan, day_span, exists, instant
from scheduler.messaging import consent
from scheduler.messaging import queries as messages
from scheduler.plans import followups, visits
from scheduler.plans import service as plans
from scheduler.plans import undo as plans_undo
from scheduler.reports import board as boards
from scheduler.reports import history, reach
from scheduler.tasks import queries as tasks
from scheduler.treatment import service as treatment
from scheduler.treatment.models import Outcome
from scheduler.web import login
from scheduler.web.desk import looks, readiness, signing
from scheduler.web.desk.rooms import back, say
from scheduler.web.display import clock_time
from scheduler.web.fields import DayField, Form, option, read_moment, read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_appointments", __name__, url_prefix="/desk/appointments")


class OutcomeForm(Form):
    """What a call came to."""

    outcome = RadioField(
        "What did the call come to?",
        [InputRequired("Choose what the call came to.")],
        choices=[option(o.value, boards.OUTCOME_WORDS[o]) for o in Outcome],
    )
    note = TextAreaField(
        "Note for colleagues", [Optional(), Length(max=2000, message="Use at most 2,000 letters.")]
    )


class CancelForm(Form):
    """Whether the patient is told."""

    notify = BooleanField("Tell the patient", default=True)


class MoveForm(Form):
    """A new time: one of the free ones, or another."""

    site = SelectField("Clinic", validate_choice=False)
    day = DayField("Day", [Optional()])
    start = RadioField("Free times", validate_choice=False, choices=[], validators=[Optional()])
    other = TimeField("Another time", [Optional()])
    reason = StringField(
        "Why it may be outside its days", [Length(max=300, message="Use at most 300 letters.")]
    )
    notify = BooleanField("Tell the patient", default=True)


class SeatForm(Form):
    """Another chair, or somebody else, at the same time."""

    chair = SelectField("Another chair", coerce=str, validate_choice=False)
    person = SelectField("Somebody else", coerce=str, validate_choice=False)


@bp.get("/<string:public_id>")
def show(public_id: str) -> ResponseReturnValue:
    """Show an appointment: whole page, or beside the board."""
    return _page(public_id)


@bp.post("/<string:public_id>/arrive")
@requires(Act.BOOK)
def arrive(public_id: str) -> ResponseReturnValue:
    """Check somebody in; of a call: it is on."""
    is_call = book.by_public_id(public_id).service_code in boards.CALLS
    return _done(
        public_id,
        lambda a, actor, now: plans.arrive(a, actor=actor, now=now, version=_version()),
        "The call has started." if is_call else "Checked in.",
    )


@bp.post("/<string:public_id>/no-show")
@requires(Act.BOOK)
def no_show(public_id: str) -> ResponseReturnValue:
    """Note that they did not come, or did not pick up."""
    return _done(
        public_id,
        lambda a, actor, now: plans.no_show(a, actor=actor, now=now, version=_version()),
        "Noted. The rest of the time is free again.",
    )


@bp.post("/<string:public_id>/confirm")
@requires(Act.BOOK)
def confirm(public_id: str) -> ResponseReturnValue:
    """Note that they said by phone that they will come."""
    return _done(
        public_id,
        lambda a, actor, now: plans.confirm(a, actor=actor, now=now),
        "Confirmed.",
    )


@bp.post("/<string:public_id>/unconfirm")
@requires(Act.BOOK)
def unconfirm(public_id: str) -> ResponseReturnValue:
    """Take a confirmation back, however long ago: a "1" may come from the wrong person."""
    return _done(
        public_id,
        lambda a, actor, now: plans.unconfirm(a, actor=actor, now=now),
        "It counts as not confirmed again.",
    )


@bp.post("/<string:public_id>/close")
@requires(Act.BOOK)
def close(public_id: str) -> ResponseReturnValue:
    """Note that a chat or visit took place."""
    return _done(
        public_id,
        lambda a, actor, now: plans.complete_visit(a, actor=actor, now=now, version=_version()),
        "Closed.",
    )


@bp.post("/<string:public_id>/close-on-paper")
@requires(Act.RECORD_SESSION)
def close_on_paper(public_id: str) -> ResponseReturnValue:
    """Note that an infusion took place whose record is on paper."""
    return _done(
        public_id,
        lambda a, actor, now: plans.complete_visit(
            a, actor=actor, now=now, version=_version(), on_paper=True
        ),
        "Closed. Its record is on paper.",
    )


@bp.post("/<string:public_id>/reinstate")
@requires(Act.BOOK)
def reinstate(public_id: str) -> ResponseReturnValue:
    """Take a cancellation or a no-show back, as long as the time is free."""
    return _done(
        public_id,
        lambda a, actor, now: plans.reinstate(a, actor=actor, now=now, version=_version()),
        "Put back, at its old time.",
        can_undo=False,
    )


@bp.post("/<string:public_id>/undo")
@requires(Act.BOOK)
def undo(public_id: str) -> ResponseReturnValue:
    """Take back the last change."""
    return _done(
        public_id,
        lambda a, actor, now: plans_undo.undo(a, version=_version(), actor=actor, now=now),
        "Taken back.",
        can_undo=False,
    )


@bp.post("/<string:public_id>/outcome")
@requires(Act.BOOK)
def outcome(public_id: str) -> ResponseReturnValue:
    """Record what a call came to."""
    form = OutcomeForm()
    if not form.validate():
        return _page(public_id, outcome_form=form), 422
    return _done(
        public_id,
        lambda a, actor, now: plans.record_call(
            a,
            Outcome(form.outcome.data),
            note=(form.note.data or "").strip() or None,
            actor=actor,
            now=now,
            version=_version(),
        ),
        "The outcome is recorded.",
        can_undo=False,
    )


@bp.get("/<string:public_id>/cancel")
@requires(Act.BOOK)
def ask_cancel(public_id: str) -> ResponseReturnValue:
    """Ask whether to cancel, and whether the patient is told."""
    return _cancel_page(public_id, CancelForm(), None)


@bp.post("/<string:public_id>/cancel")
@requires(Act.BOOK)
def cancel(public_id: str) -> ResponseReturnValue:
    """Call it off."""
    form = CancelForm()
    try:
        return _do(
            public_id,
            lambda a, actor, now: plans.cancel(
                a, actor=actor, now=now, version=_version(), notify=bool(form.notify.data)
            ),
            "Cancelled. The time is free again.",
        )
    except Refusal as refusal:
        return _cancel_page(public_id, form, refusal), refusal.status


@bp.get("/<string:public_id>/move")
@requires(Act.BOOK)
def ask_move(public_id: str) -> ResponseReturnValue:
    """Offer other times without dragging."""
    form = MoveForm(request.args, meta={"csrf": False})
    form.notify.data = True  # an unticked box and one never shown look alike in an address
    return _move_page(public_id, form, None)


@bp.post("/<string:public_id>/move")
@requires(Act.BOOK)
def move(public_id: str) -> ResponseReturnValue:
    """Move it: from the board (`at`, a column) or from the form (a free time, or another)."""
    form = MoveForm()
    target = None
    try:
        moved = book.by_public_id(public_id)
        target = _target(moved, form)
        if _is_seat(moved, target):
            return _seat(public_id, target.chair_id, target.person_id)
        word = signing.override()
        excuse = signing.excuse()
        return _do(
            public_id,
            lambda a, actor, now: plans.move(
                a,
                starts_at=target.starts_at,
                site_id=target.site.id,
                chair_id=target.chair_id,
                person_id=target.person_id,
                version=_version(),
                actor=actor,
                now=now,
                reason=(form.reason.data or "").strip() or None,
                override=word.as_override() if word else None,
                excuse=excuse,
                notify=bool(form.notify.data),
            ),
            f"Moved to {_words(target.starts_at, target.site)}.",
        )
    except Refusal as refusal:
        if "X-Fragment" in request.headers:
            raise _in_sight(refusal, public_id, target) from refusal
        return _move_page(public_id, form, refusal), refusal.status


@bp.post("/<string:public_id>/seat")
@requires(Act.BOOK)
def seat(public_id: str) -> ResponseReturnValue:
    """Give it another chair or person at its own time; the patient's booking is unchanged."""
    try:
        return _seat(public_id, _number("chair"), _number("person"))
    except Refusal as refusal:
        form = MoveForm(formdata=None)
        return _move_page(public_id, form, refusal), refusal.status


def _seat(public_id: str, chair_id: int | None, person_id: int | None) -> ResponseReturnValue:
    supply = clinic_supply.current()
    names = supply.sites[book.by_public_id(public_id).site_id].names
    said = [
        f"{words} {names.get(number, '')}"
        for words, number in (("now in", chair_id), ("now with", person_id))
        if number is not None
    ]
    return _do(
        public_id,
        lambda a, actor, now: plans.reseat(
            a, chair_id=chair_id, person_id=person_id, version=_version(), actor=actor, now=now
        ),
        f"At the same time, {' and '.join(said)}. The patient needs no word of it.",
    )


def _is_seat(moved: Appointment, target: "Target") -> bool:
    """Say whether a card was dropped beside its own time: on another chair or person."""
    is_same = (target.starts_at, target.site.id) == (moved.starts_at, moved.site_id)
    return is_same and (target.chair_id, target.person_id) != (None, None)


@dataclass(frozen=True)
class Target:
    """Where something is moved to."""

    starts_at: datetime
    site: SiteSupply
    chair_id: int | None = None
    person_id: int | None = None


def _target(appointment: Appointment, form: MoveForm) -> Target:
    """Read from the request where to.

    Raises:
        Invalid: no time was chosen, or it is none that the clock shows.
    """
    supply = clinic_supply.current()
    site = supply.site(request.form.get("site", "")) or supply.sites[appointment.site_id]
    at = request.form.get("at") or request.form.get("start")
    if at and not form.other.data:
        moment = read_moment(at)
        if moment is None:
            raise Invalid("Choose one of the times.", field="start")
        if moment.tzinfo is None:
            moment = _wall(moment, site)
        return Target(moment, site, _number("chair"), _number("person"))
    if not form.other.data or form.errors:
        raise Invalid("Choose a time.", field="start")
    day = form.day.data or appointment.starts_at.astimezone(site.zone).date()
    return Target(_wall(datetime.combine(day, form.other.data), site), site)


def _in_sight(refusal: Refusal, public_id: str, target: Target | None) -> Refusal:
    """Return a refusal of the board with who is in that chair, and the nearest free times."""
    if target is None or not isinstance(refusal, SlotTaken):
        return refusal
    let_go()
    near = sorted({o.starts_at for o in refusal.alternatives() if o.site_id == target.site.id})
    moved = book.by_public_id(public_id)
    need = clinic_supply.current().services[moved.service_code].need(NeedKind.CHAIR)
    after = timedelta(minutes=need.until_minute) if need else moved.ends_at - moved.starts_at
    visit = moved.ends_at - moved.starts_at
    turnover = max(after - visit, timedelta())
    day = day_span(target.starts_at.astimezone(target.site.zone).date(), target.site.zone)
    there = [
        p.appointment
        for p in book.between([target.site.id], day.start, day.end, live_only=True)
        if p.appointment.id != moved.id
        and p.appointment.starts_at < target.starts_at + visit + turnover
        and p.appointment.ends_at + turnover > target.starts_at
        and p.chair_id == target.chair_id
    ]
    words = refusal.message
    if there and target.chair_id:
        chair = target.site.names.get(target.chair_id, "That chair")
        taker = there[0]
        words = (
            f"{chair} is taken then: {taker.patient.shown_name}, "
            f"{clock_time(taker.starts_at, target.site.zone)}."
        )
    if near:
        words += f" Free nearby: {', '.join(_near(m, day, target.site) for m in near)}."
    return SlotTaken(words)


def _near(moment: datetime, day: TimeSpan, site: SiteSupply) -> str:
    is_that_day = day.start <= moment < day.end
    return clock_time(moment, site.zone) if is_that_day else _words(moment, site)


def _wall(wall: datetime, site: SiteSupply) -> datetime:
    if not exists(wall.date(), wall.time(), site.zone):
        raise Invalid("The clock skips that time on that day.", field="other")
    return instant(wall.date(), wall.time(), site.zone)


def _number(name: str) -> int | None:
    return read_number(request.form.get(name))


def _version() -> int:
    version = read_number(request.form.get("version"))
    if version is None:
        raise Invalid("Please open the appointment again.")
    return version


def _words(moment: datetime, site: SiteSupply) -> str:
    wall = moment.astimezone(site.zone)
    return f"{wall:%a, %b} {wall.day}, {(wall.hour - 1) % 12 + 1}:{wall:%M %p}"


Verb = Callable[[Appointment, str, datetime], object]


def _do(public_id: str, verb: Verb, words: str, *, can_undo: bool = True) -> ResponseReturnValue:
    """Do one thing in one transaction, and go back to where the click came from."""
    now = clock.now()
    with transaction():
        appointment = book.by_public_id(public_id)
        verb(appointment, login.me().actor, now)
        version = appointment.version
    say(words, undo=public_id if can_undo else None, version=version, about=public_id)
    return redirect(back(url_for(".show", public_id=public_id)), code=303)


def _done(public_id: str, verb: Verb, words: str, *, can_undo: bool = True) -> ResponseReturnValue:
    """Do one thing; a refusal is shown on the appointment's own page, as it stands now."""
    try:
        return _do(public_id, verb, words, can_undo=can_undo)
    except Refusal as refusal:
        return _page(public_id, refusal=refusal), refusal.status


def _page(
    public_id: str, *, refusal: Refusal | None = None, outcome_form: OutcomeForm | None = None
) -> str:
    let_go()
    now = clock.now()
    appointment = book.by_public_id(public_id)
    placed = book.placed([appointment])[0]
    site = clinic_supply.current().sites[appointment.site_id]
    names = site.names
    recorded = treatment.outcome_of(appointment.id)
    sees_notes = login.me().may(Act.SEE_CLINICAL)
    if outcome_form is None:
        outcome_form = OutcomeForm(
            formdata=None,
            outcome=recorded.outcome.value if recorded else None,
            note=recorded.note if recorded and sees_notes else None,
        )
    fragment = "X-Fragment" in request.headers
    patient_id, topic = appointment.patient_id, appointment.topic
    texts = consent.standing(appointment.patient)
    html = render_template(
        "desk/_appointment.html" if fragment else "desk/appointment.html",
        a=appointment,
        service=clinic_supply.current().services[appointment.service_code].name,
        standing=boards.standing(
            appointment,
            now=now,
            outcome=recorded.outcome if recorded else None,
            in_chair=boards.chair_states([appointment], now=now).get(appointment.id),
        ),
        is_infusion=appointment.service_code in boards.INFUSIONS,
        answered=_answered(appointment, sees_notes),
        owed=followups.find_for_chat(appointment.id) or followups.find_for_infusion(appointment.id),
        visit=visits.find_for(appointment.id),
        is_call=appointment.service_code in boards.CALLS,
        has_outcome=appointment.service_code is ServiceCode.CALL,
        recorded=recorded,
        sees_notes=sees_notes,
        outcome_words=boards.OUTCOME_WORDS,
        outcome_form=outcome_form,
        chair=names.get(placed.chair_id or 0),
        person=names.get(placed.person_id or 0),
        texts=texts,
        messages=[
            *messages.about(topic),
            *messages.about(f"invite:{appointment.id}"),
            *messages.waiting(f"patient:{patient_id}"),
        ],
        reach=reach.of([appointment], now=now, texted={patient_id} if texts.may_text else ())[
            appointment.id
        ],
        tasks=tasks.open_about(topic),
        deeds=history.of_appointment(appointment),
        undoable=plans_undo.undoable(appointment, now=now),
        may_reinstate=_may_reinstate(appointment, now=now),
        release=boards.late_release(appointment, now=now),
        waits=boards.waits_about(appointment, now=now),
        now=now,
        refusal=refusal,
        back=back(),
    )
    looks.note("appointment.viewed", topic, patient_id=patient_id)
    return html


def _answered(appointment: Appointment, sees_notes: bool) -> readiness.Answered | None:
    is_infusion = appointment.service_code in boards.INFUSIONS
    return readiness.answered(appointment, clinical=sees_notes) if is_infusion else None


def _may_reinstate(appointment: Appointment, *, now: datetime) -> bool:
    """Say whether it makes sense to put it back: called off or missed, and its day not over."""
    zone = appointment.site.zone
    is_off = appointment.status in (Status.CANCELLED, Status.NOSHOW)
    return is_off and appointment.starts_at.astimezone(zone).date() >= now.astimezone(zone).date()


def _cancel_page(public_id: str, form: CancelForm, refusal: Refusal | None) -> str:
    let_go()
    appointment = book.by_public_id(public_id)
    patient_id, topic = appointment.patient_id, appointment.topic
    html = render_template(
        "desk/cancel.html",
        a=appointment,
        service=clinic_supply.current().services[appointment.service_code].name,
        texts=consent.standing(appointment.patient),
        form=form,
        refusal=refusal,
        back=back(url_for(".show", public_id=public_id)),
    )
    looks.note("appointment.viewed", topic, patient_id=patient_id)
    return html


def _move_page(public_id: str, form: MoveForm, refusal: Refusal | None) -> str:
    """Show the free times of one day, with alternatives when the wish was refused."""
    let_go()
    now = clock.now()
    appointment = book.by_public_id(public_id)
    supply = clinic_supply.current()
    site = supply.site(str(form.site.data or "")) or supply.sites[appointment.site_id]
    day = form.day.data or max(appointment.starts_at, now).astimezone(site.zone).date()
    form.site.choices = [option(s.code, s.name) for s in supply.sites.values()]
    form.site.data, form.day.data = site.code, day
    free = _free(appointment, site, day, now=now)
    near: list[Offer] = refusal.alternatives() if isinstance(refusal, SlotTaken) else []
    form.start.choices = [option(o.starts_at.isoformat(), "") for o in free]
    seating, chair, person = _seating(appointment, now=now)
    patient_id, topic = appointment.patient_id, appointment.topic
    html = render_template(
        "desk/move.html",
        a=appointment,
        service=supply.services[appointment.service_code].name,
        site=site,
        day=day,
        free=free,
        near=near,
        parts=_parts(free, site),
        texts=consent.standing(appointment.patient),
        form=form,
        seating=seating,
        chair=chair,
        person=person,
        refusal=refusal,
        version=request.form.get("version") if not _was_overtaken(refusal) else None,
        back=back(url_for(".show", public_id=public_id)),
    )
    looks.note("appointment.viewed", topic, patient_id=patient_id)
    return html


def _seating(appointment: Appointment, *, now: datetime) -> tuple[SeatForm, str, str]:
    """Return the form of what else could take it at its own time, and what it has now."""
    could = seats.could_take(appointment, now=now)
    placed = book.placed([appointment])[0]
    names = clinic_supply.current().sites[appointment.site_id].names
    form = SeatForm(formdata=None)
    for field, units, words in (
        (form.chair, could.chairs, "Choose a chair"),
        (form.person, could.people, "Choose a person"),
    ):
        field.choices = [option("", words), *(option(str(u.id), u.name) for u in units)]
    return form, names.get(placed.chair_id or 0, ""), names.get(placed.person_id or 0, "")


def _was_overtaken(refusal: Refusal | None) -> bool:
    return refusal is not None and refusal.code == "stale"


def _free(appointment: Appointment, site: SiteSupply, day: date, *, now: datetime) -> list[Offer]:
    return offers.find(
        appointment.service_code,
        site_ids=[site.id],
        since=day,
        until=day + timedelta(days=1),
        now=now,
        audience=Audience.DESK,
        but_appointment=appointment.id,
    )


def _parts(free: list[Offer], site: SiteSupply) -> list[tuple[str, list[Offer]]]:
    """Group offers by part of the day, leaving out the empty ones."""
    morning: list[Offer] = []
    afternoon: list[Offer] = []
    for offer in free:
        part = PartOfDay.of(offer.starts_at.astimezone(site.zone).time())
        (morning if part is PartOfDay.MORNING else afternoon).append(offer)
    return [(name, part) for name, part in (("Morning", morning), ("Afternoon", afternoon)) if part]
