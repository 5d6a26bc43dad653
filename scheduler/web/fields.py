"""Form fields and parts of addresses that speak our types."""

from datetime import date, datetime
from typing import Any

from flask import Flask
from flask_babel import gettext
from flask_wtf import FlaskForm
from werkzeug.routing import BaseConverter, ValidationError
from wtforms import Field
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.widgets import HiddenInput, TextInput

from scheduler.core.phone import NotAMobile, mobile, shown


class Form(FlaskForm):
    """A form with its hidden token; a signature the type checker can see."""

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
        try:
            moment = datetime.fromisoformat(valuelist[0])
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError(gettext("Choose one of the times."))
        self.data = moment


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
    """Let addresses carry dates."""
    app.url_map.converters["date"] = DateConverter
