"""The follow-up chat: what was found, and what the protocol would say of it, while it is typed."""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import IntegerField, RadioField, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.patients.models import Pain
from scheduler.plans import approval, followups, library, rules
from scheduler.plans import queries as plans
from scheduler.plans.errors import NoProtocol
from scheduler.plans.models import FollowUp, Impression
from scheduler.plans.rules import Inputs, Proposal
from scheduler.reports import session as reports
from scheduler.treatment import queries as treatment
from scheduler.treatment import vocabulary
from scheduler.treatment.models import EventKind
from scheduler.web import login
from scheduler.web.desk import looks, signing
from scheduler.web.desk.patients import PAIN_WORDS
from scheduler.web.desk.refusals import at_its_field
from scheduler.web.desk.rooms import say
from scheduler.web.fields import Form, option
from scheduler.web.guards import requires

bp = Blueprint("desk_chat", __name__, url_prefix="/desk/chats")

SCORES = [option(str(n), str(n)) for n in range(11)]


class ChatForm(Form):
    """What somebody says some days after."""

    baseline = RadioField(
        "Pain before the visit",
        [InputRequired("Choose the pain before, 0 to 10.")],
        choices=SCORES,
    )
    score = RadioField(
        "Pain since, at its best that lasted",
        [InputRequired("Choose the pain since, 0 to 10.")],
        choices=SCORES,
    )
    relief_days = IntegerField(
        "For how many days has it been better?",
        [
            InputRequired("Enter for how many days, 0 if not at all."),
            NumberRange(0, 366, "Enter a number of days, 0 to 366."),
        ],
    )
    relief_holds = RadioField(
        "Is it still better?",
        [InputRequired("Choose whether it still is.")],
        choices=[option("yes", "Yes, it holds"), option("no", "No, it has worn off")],
    )
    condition = SelectField(
        "What hurts", choices=[option(p.value, words) for p, words in PAIN_WORDS.items()]
    )
    impression = RadioField(
        "How do they say they are?",
        [InputRequired("Choose what they say.")],
        choices=[option(i.value, w.capitalize()) for i, w in rules.IMPRESSIONS.items()],
    )
    goals = TextAreaField(
        "What they hope for", [Length(max=1000, message="Use at most 1,000 letters.")]
    )
    note = TextAreaField("Note", [Length(max=2000, message="Use at most 2,000 letters.")])


@dataclass(frozen=True)
class Says:
    """What the protocol would say: a proposal, or what is in the way of one."""

    proposal: Proposal | None
    open_questions: list[str]
    blocked: list[str]
    no_protocol: str | None = None


@bp.get("/<string:public_id>")
@requires(Act.SEE_CLINICAL)
def show(public_id: str) -> ResponseReturnValue:
    """Show the session, and the questions; an infusion's public id names its chat."""
    return _page(public_id)


@bp.post("/<string:public_id>/says")
@requires(Act.SEE_CLINICAL)
def says(public_id: str) -> ResponseReturnValue:
    """Say what the protocol would say of what is typed so far: beside the form, or on the page."""
    form = ChatForm()
    if "HX-Request" not in request.headers:
        return _page(public_id, form, ask=True)
    owed = _owed(public_id)
    patient_id = owed.patient_id
    html = render_template("desk/_says.html", says=_says(owed, form))
    subject = f"patient:{patient_id}"
    looks.note("chat.viewed", subject, patient_id=patient_id, once_in_a_while=True)
    return html


@bp.post("/<string:public_id>")
@requires(Act.RECORD_SESSION)
def keep(public_id: str) -> ResponseReturnValue:
    """Record the chat and draft a plan; what blocks one is said."""
    form = ChatForm()
    try:
        if not form.validate():
            raise Invalid("Please check what is marked.")
        with transaction():
            held = approval.record_chat(
                _owed(public_id),
                baseline=int(form.baseline.data),
                score=int(form.score.data),
                relief_days=int(form.relief_days.data or 0),
                relief_holds=form.relief_holds.data == "yes",
                condition=Pain(form.condition.data),
                impression=Impression(form.impression.data),
                goals=(form.goals.data or "").strip() or None,
                note=(form.note.data or "").strip() or None,
                actor=login.me().actor,
                now=clock.now(),
            )
            plan_id = held.plan.public_id if held.plan else None
    except Refusal as refusal:
        return _page(public_id, form, at_its_field(form, refusal), ask=True), refusal.status
    if plan_id is None:
        say("Recorded. A clinician must look before a plan is drafted; there is a task for it.")
        return redirect(url_for(".show", public_id=public_id), code=303)
    say("Recorded. Here is what the protocol proposes.")
    return redirect(url_for("desk_plan.show", public_id=plan_id), code=303)


@bp.post("/<string:public_id>/although")
@requires(Act.RECORD_SESSION)
def although(public_id: str) -> ResponseReturnValue:
    """Draft a plan on a clinician's word, although something blocks it."""
    try:
        word = signing.override()
        if word is None:
            raise Invalid("Please say why it may be drafted.", field="why")
        with transaction():
            owed = _owed(public_id)
            found = plans.newest_assessment(owed.infusion_id)
            if found is None:
                raise NotFound("The chat was not recorded yet.")
            plan_id = approval.propose(
                found, override=word.as_override(), actor=login.me().actor, now=clock.now()
            ).public_id
    except Refusal as refusal:
        return _page(public_id, refusal=refusal), refusal.status
    say("Drafted, with the reason.")
    return redirect(url_for("desk_plan.show", public_id=plan_id), code=303)


def _owed(public_id: str) -> FollowUp:
    owed = followups.find_for_infusion(book.by_public_id(public_id).id)
    if owed is None:
        raise NotFound("No chat is owed after this visit.")
    return owed


def _says(owed: FollowUp, form: ChatForm) -> Says:
    """Judge what is typed so far, without marking what is not typed yet as wrong."""
    missing = []
    for name, words in (
        ("baseline", "pain before"),
        ("score", "pain since"),
        ("relief_days", "how many days"),
        ("relief_holds", "whether it holds"),
        ("impression", "how they say they are"),
    ):
        if form[name].data in (None, ""):
            missing.append(words)
    worst = treatment.worst_severity(owed.infusion_id)
    blocked = [approval.SEVERE_WORDS] if worst >= approval.SEVERE else []
    if missing:
        return Says(None, missing, blocked)
    try:
        inputs = Inputs(
            baseline=int(form.baseline.data),
            score=int(form.score.data),
            relief_days=max(min(int(form.relief_days.data or 0), 366), 0),
            relief_holds=form.relief_holds.data == "yes",
            condition=Pain(form.condition.data),
            worst_severity=worst,
            impression=Impression(form.impression.data),
        )
    except ValueError:
        return Says(None, ["one of the answers again"], blocked)
    if not (0 <= inputs.baseline <= 10 and 0 <= inputs.score <= 10):
        return Says(None, ["the scores again"], blocked)
    try:
        return Says(rules.assess(inputs, library.table_of(library.active())), [], blocked)
    except NoProtocol as none:
        return Says(None, [], blocked, none.message)


def _page(
    public_id: str,
    form: ChatForm | None = None,
    refusal: Refusal | None = None,
    *,
    ask: bool = False,
) -> str:
    let_go()
    now = clock.now()
    owed = _owed(public_id)
    infusion, patient = owed.infusion, owed.patient
    found = plans.newest_assessment(owed.infusion_id)
    lines = treatment.lines(owed.infusion_id)
    if form is None:
        baseline = treatment.baseline(owed.infusion_id)
        form = ChatForm(
            formdata=None,
            baseline=str(found.baseline if found else "" if baseline is None else baseline),
            score=str(found.score) if found else "",
            relief_days=found.relief_days if found else None,
            relief_holds=("yes" if found.relief_holds else "no") if found else "",
            condition=(found.condition if found else patient.pain or Pain.UNSURE).value,
            impression=found.impression.value if found else "",
            goals=found.goals if found else None,
            note=found.note if found else None,
        )
    plan = plans.current(patient.id)
    html = render_template(
        "desk/chat.html",
        p=patient,
        owed=owed,
        infusion=infusion,
        chat=owed.chat,
        zone=infusion.site.zone,
        form=form,
        refusal=refusal,
        found=found,
        blocks=approval.blocks(found) if found else [],
        plan=plan if plan and found and plan.assessment_id == found.id else None,
        says=_says(owed, form),
        ask=ask,
        effects=[
            (line, reports.words(line.kind, line.data))
            for line in lines
            if line.kind is EventKind.SIDE_EFFECT
        ],
        scores=[
            reports.words(line.kind, line.data) for line in lines if line.kind is EventKind.SCORE
        ],
        ending=next(
            (
                vocabulary.ENDINGS[line.data["reason"]]
                for line in lines
                if line.kind is EventKind.END
            ),
            None,
        ),
        took_place=infusion.status.value == "fulfilled",
        now=now,
    )
    looks.note("chat.viewed", f"patient:{patient.id}", patient_id=patient.id)
    return html
