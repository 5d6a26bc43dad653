"""In which language a page speaks."""

from pathlib import Path

from babel import Locale
from flask import Flask, Response, current_app, g, request
from flask_babel import Babel, get_locale

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


def join(app: Flask) -> None:
    """Let pages speak."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(Path(app.root_path).parent / "translations")
    Babel(app, locale_selector=language)
    app.add_template_global(html_lang)
    app.jinja_env.globals["languages"] = LANGUAGES
    app.add_template_global(language, "language")

    @app.after_request
    def remember(response: Response) -> Response:
        asked = known(request.args.get("lang"))
        if asked and request.method == "GET" and response.status_code < 400:
            set_cookie(response, asked)
        return response
