"""The questions before a visit, as patients answer them and as staff ask them on the phone."""

from datetime import datetime
from typing import Any, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _late
from wtforms import Field, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from scheduler.booking.models import Appointment
from scheduler.treatment import readiness
from scheduler.treatment.readiness import Given
from scheduler.web.fields import Form, MomentField, option, tidy, tidy_line

ILLNESS_LONGEST = 500


def lazy_gettext(words: str) -> str:
    """Return words that are translated when they are read; WTForms takes them for text."""
    return cast(str, _late(words))


def hours(appointment: Appointment) -> list[tuple[datetime, list[str]]]:
    """Return what to do by when on the day of a visit, in order; one moment holds all of its."""
    by = readiness.clock_times(appointment)
    said: dict[datetime, list[str]] = {}
    for moment, words in (
        (by.heavy, _("Nothing heavy or fatty to eat after this.")),
        (by.light, _("Nothing at all to eat after this.")),
        (
            by.medicines,
            _("Take your usual medicines by now, with a little water, unless we told you not to."),
        ),
        (by.drink, _("Water and other clear drinks until now. Nothing to drink after this.")),
        (appointment.starts_at, _("Please be here.")),
        (
            appointment.ends_at,
            _("About now you go home. Do not drive that day: somebody you know takes you home."),
        ),
    ):
        said.setdefault(moment, []).append(words)
    return sorted(said.items())


class ReadyForm(Form):
    """Who takes them home, food and drink, medicines, new illness, consent."""

    escort = RadioField(
        lazy_gettext("Will somebody you know take you home?"),
        [InputRequired(lazy_gettext("Say whether somebody takes you home."))],
    )
    escort_name = StringField(
        lazy_gettext("Their name"),
        filters=[tidy_line],
        validators=[Length(max=80, message=lazy_gettext("Use at most 80 letters."))],
    )
    escort_phone = StringField(
        lazy_gettext("Their phone number"),
        filters=[tidy_line],
        validators=[Length(max=30, message=lazy_gettext("Use at most 30 signs."))],
    )
    times = RadioField(
        lazy_gettext("Can you keep to these times?"),
        [InputRequired(lazy_gettext("Say whether you can keep to the times."))],
    )
    medicines = RadioField(
        lazy_gettext("Do you know which of your medicines to take that day?"),
        [InputRequired(lazy_gettext("Say whether you know which medicines to take."))],
    )
    illness = RadioField(
        lazy_gettext("Is there anything new with your health since we last talked?"),
        [InputRequired(lazy_gettext("Say whether anything is new with your health."))],
    )
    illness_words = TextAreaField(
        lazy_gettext("What is new?"),
        filters=[tidy],
        validators=[
            Length(max=ILLNESS_LONGEST, message=lazy_gettext("Please shorten this to 500 letters."))
        ],
    )
    consent = RadioField(
        lazy_gettext("Do you still agree to the visit?"),
        [InputRequired(lazy_gettext("Say whether you still agree."))],
    )
    starts = MomentField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.escort.choices = [option("yes", _("Yes")), option("no", _("I do not know yet"))]
        self.times.choices = [option("yes", _("Yes")), option("no", _("I have a question"))]
        self.medicines.choices = [option("yes", _("Yes")), option("no", _("I have a question"))]
        self.illness.choices = [option("no", _("No")), option("yes", _("Yes"))]
        self.consent.choices = [
            option("yes", _("Yes")),
            option("no", _("I want to talk about it first")),
        ]

    def validate_escort_name(self, field: Field) -> None:
        """Ask for a name where there is somebody, and the other way round."""
        if self.escort.data == "yes" and not field.data:
            raise ValidationError(_("Enter the name of the person who takes you home."))
        if self.escort.data == "no" and field.data:
            raise ValidationError(_("You named somebody. Choose “Yes” above, or clear the name."))

    def validate_illness_words(self, field: Field) -> None:
        """Refuse news beside “No”: it must neither be lost nor be taken for nothing."""
        if self.illness.data == "no" and field.data:
            raise ValidationError(_("You wrote what is new. Choose “Yes” above, or clear this."))

    def given(self) -> Given:
        """Return what was answered; only after it was found valid."""
        has_escort = self.escort.data == "yes"
        is_ill = self.illness.data == "yes"
        return Given(
            escort_name=self.escort_name.data if has_escort else None,
            escort_phone=(self.escort_phone.data or None) if has_escort else None,
            keeps_times=self.times.data == "yes",
            knows_medicines=self.medicines.data == "yes",
            is_ill=is_ill,
            illness=(self.illness_words.data or None) if is_ill else None,
            agrees=self.consent.data == "yes",
        )

    def wrong(self) -> list[tuple[str | None, str]]:
        """Return (id of the field, words) of each field that is wrong, from the top down."""
        return [
            (f"{f.id}-0" if isinstance(f, RadioField) else f.id, str(f.errors[0]))
            for f in self
            if f.errors
        ]
