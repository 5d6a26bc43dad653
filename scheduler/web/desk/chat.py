"""The follow-up chat: what was found, and what the protocol would say of it, while it is typed."""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import IntegerField, RadioField, SelectField, SelectMultipleField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import CheckboxInput

from scheduler.accounts.rules import Act
from scheduler.booking import queries as book
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, NotFound, Refusal
from scheduler.patients.models import Pain, Patient
from scheduler.plans import approval, followups, library, pencils, rules
from scheduler.plans import queries as plans
from scheduler.plans.errors import NoProtocol
from scheduler.plans.models import OPEN, Assessment, FollowUp, Impression, PlanState
from scheduler.plans.pencils import Settled
from scheduler.plans.protocol import Response
from scheduler.plans.rules import Inputs, Proposal
from scheduler.reports import session as reports
from scheduler.treatment import clearance, vocabulary
from scheduler.treatment import queries as treatment
from scheduler.treatment.models import Answer, EventKind
from scheduler.web import login
from scheduler.web.desk import looks, signing
from scheduler.web.desk.patients import PAIN_WORDS
from scheduler.web.desk.refusals import at_its_field
from scheduler.web.desk.rooms import say
from scheduler.web.fields import Form, WholeField, option
from scheduler.web.guards import requires

bp = Blueprint("desk_chat", __name__, url_prefix="/desk/chats")

PEG = {"pain": "Pain on average", "enjoyment": "Enjoyment of life", "activity": "General activity"}
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
    phq9 = WholeField(
        "PHQ-9, sum of the nine answers, if asked",
        [Optional(), NumberRange(0, 27, "A PHQ-9 comes to 0 to 27.")],
    )
    phq9_item9 = RadioField(
        "Thoughts of being better off dead, or of hurting themselves (PHQ-9, question 9)",
        [InputRequired("Choose what they said, or that it was not asked.")],
        choices=[
            option("0", "Not at all"),
            option("1", "Several days"),
            option("2", "More than half the days"),
            option("3", "Nearly every day"),
            option("not-asked", "Not asked"),
        ],
    )
    is_changed = RadioField(
        "Has anything changed since the clearance?",
        [InputRequired("Choose whether anything changed since the clearance.")],
        choices=[option("no", "Nothing new"), option("yes", "Something is new")],
    )
    news = SelectMultipleField(
        "What is new",
        option_widget=CheckboxInput(),
        choices=[option(i, w) for i, w in vocabulary.CONTRAINDICATIONS.items()],
    )
    goals = TextAreaField(
        "What they hope for", [Length(max=1000, message="Use at most 1,000 letters.")]
    )
    note = TextAreaField("Note", [Length(max=2000, message="Use at most 2,000 letters.")])


for _moment, _words in (("before", "before"), ("since", "since")):
    for _item, _label in PEG.items():
        setattr(
            ChatForm,
            f"peg_{_moment}_{_item}",
            WholeField(
                f"{_label}, {_words}",
                [Optional(), NumberRange(0, 10, f"{_label}, {_words}: use 0 to 10.")],
            ),
        )


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
        if not _is_sound(form):
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
                peg_before=_peg(form, "before"),
                peg_since=_peg(form, "since"),
                phq9=form.phq9.data,
                phq9_item9=_item9(form),
                news=_news(form),
                goals=(form.goals.data or "").strip() or None,
                note=(form.note.data or "").strip() or None,
                actor=login.me().actor,
                now=clock.now(),
            )
            plan_id = held.plan.public_id if held.plan else None
            pencilled = held.pencilled
    except Refusal as refusal:
        return _page(public_id, form, at_its_field(form, refusal), ask=True), refusal.status
    if plan_id is None:
        say("Recorded. A clinician must look before a plan is drafted; there is a task for it.")
        return redirect(url_for(".show", public_id=public_id), code=303)
    say("Recorded. Here is what the protocol proposes." + _settled_words(pencilled))
    return redirect(url_for("desk_plan.show", public_id=plan_id), code=303)


@bp.post("/<string:public_id>/although")
@requires(Act.RECORD_SESSION)
def although(public_id: str) -> ResponseReturnValue:
    """Draft a plan on a clinician's word, although something blocks it, or when nothing does."""
    try:
        word = signing.override()
        with transaction():
            owed = _owed(public_id)
            found = plans.newest_assessment(owed.infusion_id)
            if found is None:
                raise NotFound("The chat was not recorded yet.")
            if word is None and approval.blocks(found):
                raise Invalid("Please say why it may be drafted.", field="why")
            plan_id = approval.propose(
                found,
                override=word.as_override() if word else None,
                actor=login.me().actor,
                now=clock.now(),
            ).public_id
    except Refusal as refusal:
        return _page(public_id, refusal=refusal), refusal.status
    say("Drafted, with the reason." if word else "Drafted.")
    return redirect(url_for("desk_plan.show", public_id=plan_id), code=303)


@bp.post("/<string:public_id>/pencil")
@requires(Act.SEE_CLINICAL)
@requires(Act.BOOK)
def pencil(public_id: str) -> ResponseReturnValue:
    """Keep the dates of the likely course until the chat, or give them back."""
    try:
        with transaction():
            owed, actor, now = _owed(public_id), login.me().actor, clock.now()
            if request.form.get("deed") == "release":
                pencils.give_back(owed, actor=actor, now=now)
                done = "Given back."
            else:
                held = pencils.pencil(owed, _response(), actor=actor, now=now)
                done = f"{rules.plural(len(held), 'date')} pencilled in. Nobody is told."
    except Refusal as refusal:
        return _page(public_id, refusal=refusal), refusal.status
    say(done)
    return redirect(url_for(".show", public_id=public_id), code=303)


def _response() -> Response:
    try:
        return Response(request.form.get("response", ""))
    except ValueError:
        raise Invalid("Choose for which response.", field="response") from None


def _settled_words(done: Settled | None) -> str:
    if done is None:
        return ""
    parts = [
        (done.kept, "kept"),
        (done.moved, "moved"),
        (done.added, "added"),
        (done.released, "given back"),
    ]
    return f" Pencilled dates: {', '.join(f'{n} {words}' for n, words in parts if n)}."


def _is_sound(form: ChatForm) -> bool:
    """Check the fields, and what only several of them together can say."""
    is_sound = form.validate()
    for moment in ("before", "since"):
        fields = [form[f"peg_{moment}_{item}"] for item in PEG]
        empty = [f for f in fields if f.data is None and not f.errors]
        if empty and len(empty) < len(fields) and not any(f.errors for f in fields):
            empty[0].errors = ["Answer all three, or none."]
            is_sound = False
    if form.is_changed.data == "yes" and not form.news.data:
        form.news.errors = [*form.news.errors, "Tick what is new."]
        is_sound = False
    return is_sound


def _peg(form: ChatForm, moment: str) -> list[int] | None:
    items = [form[f"peg_{moment}_{item}"].data for item in PEG]
    return items if all(isinstance(i, int) for i in items) else None


def _item9(form: ChatForm) -> int | None:
    return int(form.phq9_item9.data) if form.phq9_item9.data in ("0", "1", "2", "3") else None


def _news(form: ChatForm) -> list[str]:
    if form.is_changed.data != "yes":
        return []
    return [item for item in form.news.data or [] if item in vocabulary.CONTRAINDICATIONS]


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
        ("phq9_item9", "question 9 of the PHQ-9"),
        ("is_changed", "whether anything changed since the clearance"),
    ):
        if form[name].data in (None, ""):
            missing.append(words)
    worst = treatment.worst_severity(owed.infusion_id)
    blocked = approval.would_block(owed, phq9_item9=_item9(form), news=_news(form))
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
            peg_before=_in_range(_peg(form, "before"), 10),
            peg_since=_in_range(_peg(form, "since"), 10),
            phq9=form.phq9.data if form.phq9.data in range(28) else None,
        )
    except ValueError:
        return Says(None, ["one of the answers again"], blocked)
    if not (0 <= inputs.baseline <= 10 and 0 <= inputs.score <= 10):
        return Says(None, ["the scores again"], blocked)
    try:
        return Says(rules.assess(inputs, library.table_of(library.active())), [], blocked)
    except NoProtocol as none:
        return Says(None, [], blocked, none.message)


def _in_range(items: list[int] | None, most: int) -> list[int] | None:
    return items if items is not None and all(0 <= i <= most for i in items) else None


def _known(found: Assessment | None, baseline: int | None, patient: Patient) -> dict[str, object]:
    """Return what the form begins with: what was recorded, else what the session and record say."""
    standing = clearance.current(patient)
    there = [i for i in vocabulary.CONTRAINDICATIONS if standing.answer(i) is Answer.YES]
    known: dict[str, object] = {
        "baseline": "" if baseline is None else str(baseline),
        "condition": (patient.pain or Pain.UNSURE).value,
    }
    if found is None:
        return known
    for moment, items in (("before", found.peg_before), ("since", found.peg_since)):
        known |= {f"peg_{moment}_{name}": i for name, i in zip(PEG, items or (), strict=False)}
    return known | {
        "baseline": str(found.baseline),
        "score": str(found.score),
        "relief_days": found.relief_days,
        "relief_holds": "yes" if found.relief_holds else "no",
        "condition": found.condition.value,
        "impression": found.impression.value,
        "phq9": found.phq9,
        "phq9_item9": "not-asked" if found.phq9_item9 is None else str(found.phq9_item9),
        "is_changed": "yes" if there else "no",
        "news": there,
        "goals": found.goals,
        "note": found.note,
    }


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
        known = _known(found, treatment.baseline(owed.infusion_id), patient)
        form = ChatForm(formdata=None, **known)
    newest = plans.current(patient.id)
    plan = newest if newest and found and newest.assessment_id == found.id else None
    if plan is not None:
        blocks = approval.blocks_of(plan) if plan.state is PlanState.DRAFT else []
    else:
        blocks = approval.blocks(found) if found else []
    kept = pencils.live(owed, now=now)
    is_before = owed.closed_at is None and (newest is None or newest.state not in OPEN)
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
        blocks=list(dict.fromkeys(block.words for block in blocks)),
        plan=plan,
        kept=kept,
        likely=pencils.likely(owed) if is_before and infusion.is_live else [],
        is_before=is_before,
        response_words=rules.RESPONSE_WORDS,
        peg_items=list(PEG),
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
