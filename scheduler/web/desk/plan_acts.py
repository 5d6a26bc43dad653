"""Living with a plan: an act is shown first, visit by visit, and then done in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.accounts.rules import Act
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.messaging import consent
from scheduler.plans import changes, relief, rules
from scheduler.plans import queries as plans
from scheduler.plans.acts import Ask
from scheduler.plans.changes import ChangePreview, What
from scheduler.plans.errors import NotSchedulable, SeriesTaken
from scheduler.plans.finding import Choice
from scheduler.plans.models import SIGNED, ChangeAct, Plan
from scheduler.web import login
from scheduler.web.desk import drawings, looks, plan_form, refusals, signing
from scheduler.web.desk.rooms import say
from scheduler.web.fields import YEARS, read_number
from scheduler.web.guards import requires

bp = Blueprint("desk_plan_acts", __name__, url_prefix="/desk/plans")


@dataclass(frozen=True)
class Words:
    """How an act is spoken of, and what its form asks."""

    title: str
    says: str
    button: str
    asks: tuple[str, ...] = ()
    visit: str = "Which visit"


WORDS = {
    ChangeAct.DEFER: Words(
        "Put a visit off",
        "The visit comes later. Visits that took place stay as they are.",
        "Put it off",
        ("visit", "to", "how"),
    ),
    ChangeAct.OMIT: Words(
        "Leave a visit out",
        "There is one visit less; the other dates stay.",
        "Sign: leave it out",
        ("visit",),
    ),
    ChangeAct.RESPACE: Words(
        "Change the spacing",
        "From a visit on, other days lie between: from twice weekly to weekly, say.",
        "Sign: the new spacing",
        ("visit", "days"),
        "From which visit on",
    ),
    ChangeAct.RELOCATE: Words(
        "Change the clinic",
        "The visits ahead are placed anew at the other clinic, in the same windows.",
        "Change the clinic",
        ("site",),
    ),
    ChangeAct.CEASE: Words(
        "End this plan",
        "The visits ahead are called off. What took place stays.",
        "Sign: end the plan",
    ),
    ChangeAct.GO_ON: Words(
        "Go on with the next part",
        "The review is held, and the plan goes on within what was signed.",
        "Sign: go on",
        ("days",),
    ),
    ChangeAct.COMPLETE: Words(
        "Complete this plan",
        "The review is held, and no further visit is needed.",
        "Sign: completed",
    ),
}
#: What the form above the preview asks; wrong there, there is nothing to show.
ASKED_FOR = ("to", "target", "visit", "site")
WORDS[ChangeAct.CARRY] = WORDS[ChangeAct.DEFER]
WHAT_WORDS = {
    What.PAST: "took place",
    What.KEEP: "stays",
    What.MOVE: "moves",
    What.ADD: "new",
    What.TO_PLACE: "to place",
    What.DROP: "dropped",
}
TONES = {
    What.PAST: "plain",
    What.KEEP: "fine",
    What.MOVE: "brand",
    What.ADD: "brand",
    What.TO_PLACE: "attention",
    What.DROP: "trouble",
}


@bp.get("/<string:public_id>/act")
@requires(Act.BOOK)
def ask(public_id: str) -> ResponseReturnValue:
    """Ask what is to be done to a plan that runs, and show what it would change."""
    if "act" not in request.args or plans.by_public_id(public_id).state not in SIGNED:
        return redirect(url_for("desk_plan.show", public_id=public_id))
    html, refusal = _page(public_id)
    return html, refusal.status if refusal else 200


@bp.post("/<string:public_id>/act/preview")
@requires(Act.BOOK)
def preview(public_id: str) -> ResponseReturnValue:
    """Show the same with the dates that were picked."""
    try:
        chosen = plan_form.read_choices(picked_only=True)
    except Refusal as refusal:
        return _page(public_id, refusal=refusal)[0], refusal.status
    html, wrong = _page(public_id, chosen=chosen)
    return html, wrong.status if wrong else 200


@bp.post("/<string:public_id>/act")
@requires(Act.BOOK)
def do(public_id: str) -> ResponseReturnValue:
    """Do it: dates, one version of the plan with its reason, one word to the patient."""
    try:
        asked = _asked()
        reason = plan_form.read_reason()
        needs = asked.act in changes.SIGNED_ACTS
        word = signing.signed() if needs else None
        choices = plan_form.read_choices()
        with transaction():
            done = changes.apply(
                plans.by_public_id(public_id),
                asked,
                choices,
                reason=reason,
                keep_rest=request.form.get("taken", "rest") == "rest",
                version=plan_form.read_version(),
                actor=login.me().actor,
                now=clock.now(),
                signer=word.staff if word else None,
                unplaced=plan_form.read_whys(),
            )
            need = {n: done.taken[n] for n in done.at_ratio if plan_form.is_typed(n)}
            if need:  # nobody took it meanwhile: it was asked for in so many words
                raise NotSchedulable("Some dates need a reason.", need, frozenset(need))
    except SeriesTaken as refusal:
        kept = {n: c for n, c in plan_form.kept_choices().items() if n not in refusal.taken}
        return _page(public_id, kept, refusal, refusal.taken, refusal.asks)[0], refusal.status
    except NotSchedulable as refusal:
        return _page(public_id, plan_form.kept_choices(), refusal, refusal.problems, refusal.asks)[
            0
        ], refusal.status
    except Refusal as refusal:
        return _page(public_id, plan_form.kept_choices(), refusal)[0], refusal.status
    if done.taken:
        left = sorted(done.taken.keys() - done.kept)
        say(
            "Done, but a time was taken meanwhile. "
            + (f"Visit {_list(sorted(done.kept))} keeps the date it had. " if done.kept else "")
            + (f"Visit {_list(left)} has no date: choose another below." if left else "")
        )
    else:
        say("Done. It is a new version of the plan, with its reason.")
    return redirect(url_for("desk_plan.show", public_id=public_id), code=303)


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _asked() -> Ask:
    """Read what is to be done.

    Raises:
        Invalid: something of it cannot be read.
    """
    try:
        act = ChangeAct(request.values.get("act", ""))
    except ValueError:
        raise Invalid("Choose what is to be done.") from None
    written = request.values.get("to", "").strip()
    to = None
    if written and act is ChangeAct.DEFER:
        try:
            to = date.fromisoformat(written)
        except ValueError:
            raise Invalid("Enter a date, like 2026-03-20.", field="to") from None
        if to.year not in YEARS:
            raise Invalid("Enter a date of these years.", field="to")
    days = None
    typed = [request.values.get(name, "").strip() for name in ("min", "target", "max")]
    if any(typed) and act in (ChangeAct.RESPACE, ChangeAct.GO_ON):
        numbers = [read_number(value) for value in typed]
        if any(n is None or n > 365 for n in numbers):
            raise Invalid("Enter whole numbers of days.", field="target")
        least, target, most = (n or 0 for n in numbers)
        days = (least, target, most)
    site = None
    if act is ChangeAct.RELOCATE:
        site = clinic_supply.current().site(request.values.get("site", ""))
    visit = read_number(request.values.get("visit", "")) or 0
    return Ask(act, visit=visit, to=to, days=days, site_id=site.id if site else None)


def _page(
    public_id: str,
    chosen: Mapping[int, Choice] | None = None,
    refusal: Refusal | None = None,
    problems: Mapping[int, str] | None = None,
    asks: frozenset[int] = frozenset(),
) -> tuple[str, Refusal | None]:
    let_go()
    now = clock.now()
    found = plans.by_public_id(public_id)
    try:
        asked = _asked()
    except Invalid as wrong:
        refusal = refusal or wrong
        asked = Ask(_act() or ChangeAct.DEFER, visit=_first_ahead(found))
    words = WORDS[asked.act]
    shown = None
    if refusal is None or refusal.status != 422 or refusal.field not in ASKED_FOR:
        shown, wrong_ask = _shown(found, asked, words, chosen)
        refusal = refusal or wrong_ask
    lines = changes.lines_of(found, now=now)
    supply = clinic_supply.current()
    html = render_template(
        "desk/plan_acts.html",
        plan=found,
        p=found.patient,
        asked=asked,
        words=words,
        ahead=[line for line in lines if not line.is_past],
        typed=_typed(found, asked),
        suggestion=_suggested(found, asked),
        shown=shown,
        summary=_summary(shown) if shown else "",
        months_shown=drawings.months(_marks(found, shown)) if shown else [],
        needs_signature=asked.act in changes.SIGNED_ACTS,
        what_words={what.value: said for what, said in WHAT_WORDS.items()},
        tones={what.value: tone for what, tone in TONES.items()},
        sites=supply.sites,
        several=len(supply.sites) > 1,
        zone=supply.sites[found.site_id].zone,
        value=plan_form.written,
        other_site=next((s for s in supply.sites if s != found.site_id), None),
        texts=consent.standing(found.patient),
        refusal=refusal,
        lines=plan_form.lines_about(problems) if problems else refusals.lines(refusal),
        row_problems=problems or {},
        row_asks=asks,
    )
    looks.note("plan.viewed", found.topic, patient_id=found.patient_id)
    return html, refusal


def _shown(
    found: Plan, asked: Ask, words: Words, chosen: Mapping[int, Choice] | None
) -> tuple[ChangePreview | None, Refusal | None]:
    """Return the preview, or nothing while the form is not filled in, or what is wrong with it."""
    if request.method == "GET" and words.asks and "show" not in request.args:
        return None, None
    try:
        return changes.preview(found, asked, now=clock.now(), chosen=chosen), None
    except Refusal as refusal:
        return None, refusal


def _suggested(found: Plan, asked: Ask) -> str | None:
    """Return what the course so far suggests for this act, with its sums."""
    if not login.me().may(Act.SEE_CLINICAL) or found.state not in SIGNED:
        return None
    for one in relief.suggestions(found, now=clock.now()):
        if one.ask.act is asked.act:
            return " ".join((one.words, *one.arithmetic))
    return None


def _act() -> ChangeAct | None:
    return next((a for a in ChangeAct if a.value == request.values.get("act")), None)


def _first_ahead(found: Plan) -> int:
    lines = changes.lines_of(found, now=clock.now())
    return next((line.number for line in lines if not line.is_past), 0)


def _typed(found: Plan, asked: Ask) -> dict[str, object]:
    """Return what the form holds: as typed, or what stands now."""
    part = changes.next_part(found) if asked.act is ChangeAct.GO_ON else None
    ahead = next((v for v in found.visits if v.number == asked.visit), None)
    if part is not None:
        stands: tuple[object, ...] = (part.min_days, part.target_days, part.max_days)
    elif ahead is not None and asked.act is ChangeAct.RESPACE:
        stands = (ahead.min_days, ahead.target_days, ahead.max_days)
    else:
        stands = ("", "", "")
    return {
        name: request.values.get(name, default)
        for name, default in zip(("min", "target", "max", "to"), (*stands, ""), strict=True)
    }


def _summary(shown: ChangePreview) -> str:
    """Return "2 visits stay, 4 move"."""
    said: list[str] = []
    for what, verb in (
        (What.KEEP, ("stays", "stay")),
        (What.MOVE, ("moves", "move")),
        (What.ADD, ("is new", "are new")),
        (What.DROP, ("is dropped", "are dropped")),
        (What.TO_PLACE, ("has no date", "have no date")),
    ):
        count = shown.count(what)
        if count:
            noun = rules.plural(count, "visit") if not said else str(count)
            said.append(f"{noun} {verb[count > 1]}")
    return ", ".join(said) or "Nothing ahead changes"


def _marks(found: Plan, shown: ChangePreview) -> dict[date, str]:
    """Return what each day of the small calendar shows."""
    zone = clinic_supply.current().sites[found.site_id].zone
    marks: dict[date, str] = {s.starts_at.astimezone(zone).date(): "gone" for s in shown.freed}
    for r in shown.rows:
        if r.was is not None and r.what in (What.MOVE, What.DROP, What.TO_PLACE):
            marks[r.was.starts_at.astimezone(zone).date()] = "gone"
    for r in shown.rows:
        if r.row is not None and r.row.spot is not None:
            kind = {What.PAST: "past", What.KEEP: "booked"}.get(r.what, "new")
            marks[r.row.spot.starts_at.astimezone(zone).date()] = kind
    return marks
