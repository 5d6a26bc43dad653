"""Form fields and parts of addresses that speak our types."""

from datetime import date, datetime
from typing import Any

from flask import Flask, Request
from flask_babel import gettext
from flask_wtf import FlaskForm
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import BaseConverter, IntegerConverter, UnicodeConverter, ValidationError
from wtforms import DateField, Field, IntegerField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.widgets import HiddenInput, TextInput

from scheduler.core import words
from scheduler.core.phone import NotAMobile, mobile, shown
from scheduler.web import i18n

_FORM_WORDS = i18n.FormWords()
YEARS = range(2000, 2100)  # what lies outside was not chosen on one of our pages
LARGEST_NUMBER = 2**31 - 1  # of a row; PostgreSQL's integer ends there


class Typed(ImmutableMultiDict[str, str]):
    """What a request carries, without NUL: nobody types one, and no database text may hold it."""

    def __init__(self, mapping: Any = None) -> None:
        super().__init__(
            (key.replace("\0", ""), value.replace("\0", "") if isinstance(value, str) else value)
            for key, value in ImmutableMultiDict(mapping).items(multi=True)  # files too
        )


class HouseRequest(Request):
    """A request whose forms and addresses can be stored as they are."""

    @property
    def parameter_storage_class(self) -> type[ImmutableMultiDict[str, str]]:  # type: ignore[override]
        """Leave what machines send untouched: it is signed as it came."""
        return ImmutableMultiDict if self.path.startswith("/hooks/") else Typed


def read_moment(text: str | None) -> datetime | None:
    """Read a moment as a form carries it, with or without offset; None when it is none of ours."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.year in YEARS else None


def read_aware(text: str | None) -> datetime | None:
    """Read a moment that says its offset, as an offered time does."""
    read = read_moment(text)
    return read if read is not None and read.tzinfo is not None else None


def read_day(text: str | None) -> date | None:
    """Read a day as a form carries it; None when it is none of ours."""
    try:
        read = date.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.year in YEARS else None


def read_number(text: str | None) -> int | None:
    """Read a plain number as our pages write it: a row's, or a version."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Form(FlaskForm):
    """A form with its hidden token; a signature the type checker can see."""

    class Meta(FlaskForm.Meta):
        """What WTForms itself says is read once, not for every request."""

        def get_translations(self, form: object) -> i18n.FormWords:
            """Return the words of this request's language."""
            return _FORM_WORDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]


def option(value: str, label: str) -> Any:
    """Return one choice of a select or radio field."""
    return SelectChoice(value, label)


class DateConverter(BaseConverter):
    """`<date:day>` in an address: "2026-03-03"."""

    regex = r"\d{4}-\d{2}-\d{2}"

    def to_python(self, value: str) -> date:
        """Read the date; a day that does not exist is no such page."""
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValidationError from None

    def to_url(self, value: date) -> str:
        """Write the date."""
        return value.isoformat()


def tidy(text: str | None) -> str | None:
    """Keep writing and its line ends; a filter for fields."""
    return words.writing(text) if text else text


def tidy_line(text: str | None) -> str | None:
    """Keep writing on one line; a filter for fields."""
    return words.one_line(text) if text else text


class RowConverter(IntegerConverter):
    """`<int:id>` in an address, as far as rows are counted."""

    def to_python(self, value: str) -> int:
        """Read the number; one that no row can have is no such page."""
        number: int = super().to_python(value)
        if number > LARGEST_NUMBER:
            raise ValidationError
        return number


class WordConverter(UnicodeConverter):
    """`<string:id>` in an address: anything a database can look for."""

    def to_python(self, value: str) -> str:
        """Read it; what no text can hold is no such page."""
        if "\0" in value:
            raise ValidationError
        return str(super().to_python(value))


class MomentField(Field):
    """An aware moment, in ISO form, as an offered time carries it."""

    widget = HiddenInput()
    data: datetime | None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return self.data.isoformat() if self.data else ""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read it, refusing what has no offset."""
        self.data = None
        if not valuelist or not valuelist[0]:
            return
        self.data = read_aware(valuelist[0])
        if self.data is None:
            raise ValueError(gettext("Choose one of the times."))


class DayField(DateField):
    """A day of our time."""

    data: date | None

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read it; arithmetic with the ends of the calendar would fail."""
        super().process_formdata(valuelist)
        if self.data is not None and self.data.year not in YEARS:
            self.data = None
            raise ValueError("Choose a day that is not so far away.")


class WholeField(IntegerField):
    """A whole number as people type it."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read it; arithmetic with what has a hundred digits would be no use."""
        self.data = None
        if not valuelist:
            return
        self.data = read_number(str(valuelist[0]).strip())
        if self.data is None:
            raise ValueError("Enter a whole number.")


class MobileField(Field):
    """A US mobile number however typed, as E.164."""

    widget = TextInput()
    data: str | None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return shown(self.data) if self.data else ""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read it; the refusal says what to type."""
        self.data = None
        typed = str(valuelist[0]).strip() if valuelist else ""
        if not typed:
            return
        try:
            self.data = mobile(typed)
        except NotAMobile as refusal:
            raise ValueError(gettext(refusal.reason)) from None


def join(app: Flask) -> None:
    """Let addresses carry dates, and requests nothing that cannot be stored."""
    app.request_class = HouseRequest
    app.url_map.converters |= {
        "date": DateConverter,
        "int": RowConverter,
        "string": WordConverter,
        "default": WordConverter,
    }
