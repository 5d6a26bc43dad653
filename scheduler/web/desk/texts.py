"""What messages say: the clinic's own words in place of the shipped ones, tried on a phone."""

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import TextAreaField

from config import Config
from scheduler.accounts import queries as accounts
from scheduler.clinic import supply as clinic_supply
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.core.errors import Invalid, Refusal
from scheduler.core.words import writing
from scheduler.messaging import texts, versions
from scheduler.web import login
from scheduler.web.desk import looks
from scheduler.web.desk.refusals import at_its_field
from scheduler.web.desk.rooms import say
from scheduler.web.fields import Form, read_number, tidy
from scheduler.web.i18n import LANGUAGES

bp = Blueprint("desk_texts", __name__, url_prefix="/desk/texts")

#: What each message is for, as staff say it, in the order of a patient's way.
TITLES = {
    "call-booked": "A call is booked",
    "call-tomorrow": "The day before a call",
    "call-moved": "A call has a new time",
    "call-cancelled": "A call is off",
    "call-reinstated": "A call is on again",
    "call-closed": "The clinic is closed at the time of a call",
    "visit-booked": "A visit is booked",
    "visit-soon": "A week before a visit",
    "visit-prepare": "Three days before a visit",
    "visit-tomorrow": "The day before a visit",
    "visit-moved": "A visit has a new time",
    "visit-booked-ready": "A visit is booked, with questions to answer before",
    "visit-moved-ready": "A visit has a new time, with questions to answer before",
    "visit-reinstated-ready": "A visit is on again, with questions to answer before",
    "visit-cancelled": "A visit is off",
    "visit-reinstated": "A visit is on again",
    "visit-closed": "The clinic is closed at the time of a visit",
    "visit-home": "The words to take home, as a link",
    "coming-up": "Several reminders of one day",
    "coming-up-ready": "Several reminders of one day, with questions to answer before",
    "dates": "Several dates at once",
    "dates-ready": "Several dates at once, with questions to answer before",
    "all-cancelled": "Everything is off",
    "call-offer": "A sooner time for a call is offered",
    "visit-offer": "A sooner time for a visit is offered",
    "for-one": "All a shared phone is told, with a link",
    "for-one-call": "All a shared phone is told, without",
    "confirmed": "Answer to 1",
    "change-asked": "Answer to 2",
    "unclear": "Answer to what we do not understand",
    "help": "Answer to HELP",
    "stopped": "Answer to STOP",
    "started": "Answer to START",
    "emergency": "Answer to words of danger",
    "answer": "Around what staff write",
    "invite": "E-mail with the calendar entry",
    "invite-cancelled": "E-mail that takes it out again",
}


#: What waits under a name without words of its own: what it will say is known when it goes.
_SAID_LATE = {"changed": "about what changed", "cancelled": "about what is off"}


@bp.app_template_filter("message_title")
def message_title(name: str) -> str:
    """Say what a message is for, as it follows "Text" or "E-mail"."""
    if name in _SAID_LATE:
        return _SAID_LATE[name]
    title = TITLES.get(name, name.replace("-", " ")).removeprefix("E-mail ")
    return title[0].lower() + title[1:]


class WordsForm(Form):
    """The words of one message in one language."""

    words = TextAreaField("Words", filters=[tidy])


@bp.get("", strict_slashes=False)
def overview() -> ResponseReturnValue:
    """Show every message with the words in force."""
    found = versions.changed()
    page = render_template(
        "desk/texts.html",
        rows=[(name, words, versions.wording(name, "en")) for name, words in TITLES.items()],
        changed=found,
        fixed=versions.FIXED,
        languages_of=LANGUAGES,
    )
    looks.note("list.viewed", "list:texts", once_in_a_while=True)
    return page


@bp.get("/<string:name>/<string:language>")
def edit(name: str, language: str) -> ResponseReturnValue:
    """Show the words in force, on a phone and in a form."""
    return _page(name, language)


@bp.post("/<string:name>/<string:language>")
def save(name: str, language: str) -> ResponseReturnValue:
    """Put other words in force, the shipped ones back, or only look at them on the phone."""
    form = WordsForm()
    words = form.words.data or ""
    if "look" in request.form:
        return _page(name, language, form=form)
    try:
        seen = read_number(request.form.get("seen"))
        if seen is None:
            raise Invalid("Please open the page again.")
        actor, now = login.me().actor, clock.now()
        with transaction():
            if "put_back" in request.form:
                versions.put_back(name, language, seen=seen, actor=actor, now=now)
            else:
                versions.save(
                    name, language, words, seen=seen, public_url=_public_url(), actor=actor, now=now
                )
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        shown = at_its_field(form, refusal)
        return _page(name, language, form=form, refusal=shown, status=refusal.status)
    say("Saved. It is used from the next message on.")
    return redirect(url_for(".edit", name=name, language=language), code=303)


def _page(
    name: str,
    language: str,
    *,
    form: WordsForm | None = None,
    refusal: Refusal | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    let_go()
    wording = versions.wording(name, language)
    if form is None:
        form = WordsForm(formdata=None, words=wording)
    past = versions.history(name, language)
    looked = versions.look(
        name, language, writing(form.words.data or "") or wording, public_url=_public_url()
    )
    page = render_template(
        "desk/text.html",
        name=name,
        title=TITLES[name],
        language=language,
        language_name=LANGUAGES[language],
        languages_of=LANGUAGES,
        form=form,
        looked=looked,
        is_own=bool(past and past[0].words),
        is_fixed=name in versions.FIXED,
        shipped=texts.written(name, language),
        names=[(n, versions.MEANING.get(n, n)) for n in versions.names_of(name)],
        past=past,
        who=accounts.actor_names({row.author for row in past}),
        refusal=refusal,
        zone=next(iter(clinic_supply.current().sites.values())).zone,
    )
    return page, status


def _public_url() -> str:
    config: Config = current_app.extensions["emerge_config"]
    return config.public_url
