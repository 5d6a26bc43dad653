"""Conversations by text: reading, answering, and who looks after them."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, TextAreaField
from wtforms.validators import Length

from scheduler.accounts import queries as accounts
from scheduler.accounts import rules as accounts_rules
from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock, tokens
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.messaging import gsm, reading
from scheduler.messaging.models import InboundText
from scheduler.messaging.texts import Words
from scheduler.reports import conversation, lists
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.refusals import at_its_field
from scheduler.web.desk.rooms import say
from scheduler.web.fields import Form, read_number, tidy
from scheduler.web.guards import requires

bp = Blueprint("desk_inbox", __name__, url_prefix="/desk/inbox")


class AnswerForm(Form):
    """What staff write back."""

    words = TextAreaField(
        "Answer by text", [Length(max=400, message="Use at most 400 letters.")], filters=[tidy]
    )
    once = HiddenField()
    up_to = HiddenField()


@bp.get("", strict_slashes=False)
def conversations() -> ResponseReturnValue:
    """Show every conversation, those with something unread first; or only one's own."""
    mine = login.me().actor if request.args.get("show") == "mine" else None
    page = render_template(
        "desk/inbox.html", talks=lists.conversations(of=mine), is_mine=bool(mine), zone=_zone()
    )
    looks.note("list.viewed", "list:inbox", once_in_a_while=True)
    return page


@bp.get("/<int:text_id>")
def show(text_id: int) -> ResponseReturnValue:
    """Show the conversation that a text belongs to. Its number never stands in the address."""
    return _page(text_id)


@bp.post("/<int:text_id>/answer")
@requires(Act.ANSWER)
def answer(text_id: int) -> ResponseReturnValue:
    """Text back, or show first how it will look on their phone."""
    form = AnswerForm()
    if not form.validate():
        return _page(text_id, form=form, status=422)
    try:
        if "look" in request.form:
            text = reading.inbound(text_id)
            patient = conversation.reader(text)
            site = conversation.site_of(patient)
            made = reading.drafted(
                form.words.data or "", patient=patient, phone=site.phone, address=site.address
            )
            return _page(text_id, form=form, looked=made)
        with transaction():
            text = reading.inbound(text_id)
            patient = conversation.reader(text)
            site = conversation.site_of(patient)
            reading.answer(
                _newest_seen(text, form),
                form.words.data or "",
                patient=patient,
                phone=site.phone,
                address=site.address,
                once=form.once.data or tokens.public_id(),
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        let_go()
        shown = at_its_field(form, refusal)
        return _page(text_id, form=form, refusal=shown, status=refusal.status)
    say("Your answer is on its way.")
    return redirect(url_for(".show", text_id=text_id), code=303)


@bp.post("/<int:text_id>/assign")
@requires(Act.ANSWER)
def assign(text_id: int) -> ResponseReturnValue:
    """Give the conversation to somebody, or back to everybody."""
    who = request.form.get("who", "")
    known = {f"staff:{person.id}" for person in _colleagues()}
    try:
        if who and who not in known:
            raise Invalid("Choose somebody who answers texts.")
        with transaction():
            reading.assign(
                reading.inbound(text_id),
                who or None,
                seen=request.form.get("seen") or None,
                actor=login.me().actor,
                now=clock.now(),
            )
    except Refusal as refusal:
        return _page(text_id, refusal=refusal, status=refusal.status)
    say("It is yours." if who == login.me().actor else "Done.")
    return redirect(url_for(".show", text_id=text_id), code=303)


@bp.post("/<int:text_id>/read")
@requires(Act.ANSWER)
def read(text_id: int) -> ResponseReturnValue:
    """Note that somebody has dealt with what they wrote."""
    with transaction():
        text = reading.inbound(text_id)
        reading.mark_read(text.number, up_to=text.id, actor=login.me().actor, now=clock.now())
    say("Marked as read.")
    return redirect(url_for(".conversations"), code=303)


def _newest_seen(text: InboundText, form: AnswerForm) -> InboundText:
    """Return the newest text the page had shown; what came in since stays unread."""
    number = read_number(form.up_to.data)
    seen = reading.inbound(number) if number is not None else text
    return seen if seen.number == text.number else text


def _colleagues() -> list[Staff]:
    return [
        person
        for person in accounts.everybody()
        if person.is_active and accounts_rules.may(person.role, Act.ANSWER)
    ]


def _page(
    text_id: int,
    *,
    form: AnswerForm | None = None,
    refusal: Refusal | None = None,
    looked: Words | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    let_go()
    now = clock.now()
    text = reading.inbound(text_id)
    patient = conversation.reader(text)
    ready = conversation.ready_answers(patient)
    if form is None:
        chosen = next((said for name, said, _ in ready if name == request.args.get("ready")), "")
        form = AnswerForm(formdata=None, words=chosen)
    newest = reading.newest(text.number) or text
    form.once.data = form.once.data or tokens.public_id()
    form.up_to.data = str(newest.id)
    found = conversation.of_number(text.number, now=now)
    page = render_template(
        "desk/conversation.html",
        text=text,
        newest=newest,
        found=found,
        form=form,
        ready=ready,
        looked=looked,
        cost=gsm.cost(looked.body) if looked else None,
        silence=reading.SILENCE_WORDS[found.silence] if found.silence else None,
        colleagues=_colleagues(),
        me=login.me().actor,
        services={c: s.name for c, s in clinic_supply.current().services.items()},
        task_words={kind: words for kind, (words, _) in lists.TASK_WORDS.items()},
        refusal=refusal,
        now=now,
        zone=conversation.site_of(patient).zone,
    )
    patient_id = text.patient_id
    looks.note(
        "conversation.viewed",
        f"text:{text_id}",
        patient_id=patient_id,
        once_in_a_while=login.is_poll(),
    )
    return page, status


def _zone() -> object:
    return next(iter(clinic_supply.current().sites.values())).zone
