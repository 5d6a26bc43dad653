"""The portal speaks English, Spanish and Brazilian Portuguese, whole."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tests.web.portal.conftest import Visitor

ROOT = Path(__file__).resolve().parents[3]
#: What patients see; the pages of the desk speak English only.
SOURCES = [
    ("scheduler/web/*.py", "python"),
    ("scheduler/web/portal/**.py", "python"),
    ("templates/base.html", "jinja2"),
    ("templates/errors/**.html", "jinja2"),
    ("templates/partials/**.html", "jinja2"),
    ("templates/portal/**.html", "jinja2"),
]
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}
PLACE = re.compile(r"%\((\w+)\)[sd]")


def catalog(language: str) -> Catalog:
    """Return what is translated into a language."""
    with (ROOT / "translations" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def said() -> list[str | tuple[str, str]]:
    """Return every string of our pages that asks to be translated."""
    found = extract_from_dir(ROOT, SOURCES, keywords=KEYWORDS, strip_comment_tags=True)
    return [message for path, _, message, _, _ in found if not path.startswith("node_modules")]


@pytest.mark.parametrize("language", ["es", "pt_BR"])
def test_every_string_is_translated_and_keeps_its_places(language: str) -> None:
    words = catalog(language)

    assert len(said()) > 100
    for text in said():
        entry = words.get(text)
        assert entry is not None, text
        assert not entry.fuzzy, text
        forms = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        assert all(forms), text
        for form in forms:
            original = text[-1] if isinstance(text, tuple) else text
            assert set(PLACE.findall(form)) == set(PLACE.findall(original)), text
            # In Spanish a time ends with a full stop of its own.
            assert language != "es" or not re.search(r"%\((time|when|moment)\)s\.", form), text


def test_a_first_visit_is_answered_in_the_browsers_language(visitor: Visitor) -> None:
    for asked, lang, words in (
        ("es-MX,es;q=0.9,en;q=0.5", "es", "Reservar una llamada gratis"),
        ("pt-BR,pt;q=0.9", "pt-BR", "Marcar uma ligação grátis"),
        ("fr-CA,en;q=0.5", "en", "Book a free call"),
        ("", "en", "Book a free call"),
    ):
        page = visitor.get("/", headers={"Accept-Language": asked})
        assert f'<html lang="{lang}">' in page.html
        assert words in page.text


def test_the_menu_keeps_the_page_one_is_on(visitor: Visitor) -> None:
    page = visitor.get("/book/time?site=woburn&day=2026-03-04")
    menu = re.findall(r'<a href="([^"]+)" hreflang="(\S+)" lang="(\S+)">', page.html)
    assert [m[1:] for m in menu] == [("es", "es"), ("pt-BR", "pt-BR")]

    page = visitor.get(menu[1][0].replace("&amp;", "&"))

    assert "Quarta-feira, 4 de março" in page.text or "quarta-feira, 4 de março" in page.text
    assert '<html lang="pt-BR">' in visitor.get("/book").html
    clocks = {"pt": r"<span>1[3-7]:\d\d<", "es": r"<span>\d+:\d\d p\.m\.<"}
    for language, written in clocks.items():
        page = visitor.get(f"/book/time?site=woburn&day=2026-03-04&lang={language}")
        assert re.search(written, page.html)
        assert not re.search(r"\d [AP]M\b", page.html)


def test_the_menu_of_a_page_that_answered_a_form_holds_nothing_typed(visitor: Visitor) -> None:
    page = visitor.post("/book/time", visitor.get("/book/time?site=woburn").hidden())

    assert page.status == 422
    assert "/book/time?site=woburn&amp;day=2026-03-02&amp;lang=es" in page.html
    assert "csrf" not in page.html.split('class="languages"')[1].split("</details>")[0]


@pytest.mark.parametrize(
    ("language", "words"), [("es", "Escriba su nombre."), ("pt_BR", "Escreva seu nome.")]
)
def test_mistakes_are_named_in_the_visitors_language(
    visitor: Visitor, language: str, words: str
) -> None:
    visitor.get(f"/?lang={language}")
    page = visitor.send(visitor.choose(), given_name="")

    assert page.status == 422
    assert page.text.count(words) == 2


def test_the_language_of_the_page_is_the_one_first_chosen_in_the_form(visitor: Visitor) -> None:
    visitor.get("/?lang=pt")

    assert visitor.choose().value("language") == "pt_BR"


def test_no_sentence_is_hard_to_read() -> None:
    """Grade 6 to 8: short sentences (Flesch-Kincaid over all English words of the portal)."""
    pages = extract_from_dir(
        ROOT,
        [("scheduler/web/portal/**.py", "python"), ("templates/portal/**.html", "jinja2")],
        keywords=KEYWORDS,
    )
    texts = {str(message) for _, _, message, _, _ in pages if isinstance(message, str)}
    sentences = [s for t in texts for s in re.split(r"(?<=[.?!])\s+", t) if len(s.split()) > 4]
    words = [w for s in sentences for w in re.findall(r"[A-Za-z']+", s)]
    syllables = sum(max(len(re.findall(r"[aeiouy]+", w.lower().rstrip("e"))), 1) for w in words)

    grade = 0.39 * len(words) / len(sentences) + 11.8 * syllables / len(words) - 15.59
    assert grade < 8
    assert max(len(s.split()) for s in sentences) <= 25
