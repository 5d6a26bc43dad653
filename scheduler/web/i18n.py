"""In which language a page speaks."""

from functools import cache
from pathlib import Path
from typing import Any, cast

from babel import Locale
from babel.support import NullTranslations, Translations
from flask import Flask, Response, current_app, g, request
from flask_babel import Babel, get_locale, get_translations
from flask_babel.speaklater import LazyString
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup
from wtforms.i18n import messages_path

LANGUAGES = {"en": "English", "es": "Español", "pt_BR": "Português (Brasil)"}
COOKIE = "lang"
ENGLISH_ONLY = ("desk", "clinic", "admin")
_BROWSER = {"en": "en", "es": "es", "pt": "pt_BR", "pt-BR": "pt_BR"}


def known(code: str | None) -> str | None:
    """Return the language we speak for `code` ("pt-BR", "pt", "es_MX"), if any."""
    if not code:
        return None
    code = code.replace("_", "-")
    return _BROWSER.get(code) or _BROWSER.get(code.split("-")[0])


def language() -> str:
    """Return this request's language: asked for, remembered, or the browser's; English for staff.

    A view that knows whose page it shows may put their language in `g.language`.
    """
    if (request.blueprint or "").split(".")[0].startswith(ENGLISH_ONLY):
        return "en"
    return (
        known(request.args.get("lang"))
        or g.get("language")
        or known(request.cookies.get(COOKIE))
        or known(request.accept_languages.best_match(list(_BROWSER)))
        or "en"
    )


def html_lang() -> str:
    """Return the language as HTML writes it: "pt-BR"."""
    return str(get_locale() or Locale("en")).replace("_", "-")


def set_cookie(response: Response, code: str) -> None:
    """Let this browser remember a language for a year."""
    response.set_cookie(
        COOKIE,
        code,
        max_age=365 * 24 * 60 * 60,
        httponly=True,
        samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )


class FormWords:
    """What WTForms says by itself ("Not a valid choice."), read once for each language."""

    def gettext(self, string: str) -> str:
        """Return a sentence in this request's language."""
        return str(_form_words(str(get_locale())).ugettext(string))

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """Return the same of something counted."""
        return str(_form_words(str(get_locale())).ungettext(singular, plural, n))


@cache
def _form_words(locale: str) -> NullTranslations:
    return Translations.load(messages_path(), [locale], domain="wtforms")


def _words() -> NullTranslations:
    """Return this request's words, looked for once: a page asks some fifty times."""
    found: NullTranslations | None = g.get("words")
    if found is None:
        found = g.words = get_translations()
    return found


def gettext(text: str, **given: object) -> str:
    """Translate into this request's language; flask_babel's own takes its time to find it."""
    words = str(_words().ugettext(text))
    return words % given if given else words


def lazy_gettext(text: str) -> str:
    """Return words that are translated when they are read; whoever takes them sees a text."""
    return cast(str, LazyString(gettext, text))


@pass_eval_context
def _said(context: EvalContext, text: str, **given: Any) -> str:
    """Translate for a template, as Jinja's own `gettext` does, which takes three times as long."""
    words = _words().ugettext(text)
    return _filled_in(context, words, given) if given or "%" in words else _plain(context, words)


@pass_eval_context
def _counted(context: EvalContext, one: str, many: str, number: int, **given: Any) -> str:
    words = _words().ungettext(one, many, number)
    return _filled_in(context, words, {"num": number} | given)


def _plain(context: EvalContext, words: str) -> str:
    return Markup(words) if context.autoescape else words  # noqa: S704  ours, not typed


def _filled_in(context: EvalContext, words: str, given: dict[str, Any]) -> str:
    return _plain(context, words) % given


def join(app: Flask) -> None:
    """Let pages speak."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(Path(app.root_path).parent / "translations")
    Babel(app, locale_selector=language)
    app.jinja_env.globals |= {"_": _said, "gettext": _said, "ngettext": _counted}
    app.add_template_global(html_lang)
    app.jinja_env.globals["languages"] = LANGUAGES
    app.add_template_global(language, "language")

    @app.after_request
    def remember(response: Response) -> Response:
        asked = known(request.args.get("lang"))
        if asked and request.method == "GET" and response.status_code < 400:
            set_cookie(response, asked)
        return response
