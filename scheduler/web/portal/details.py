"""The form of a visitor's own details."""

import json
from typing import Any

from wtforms import (
    BooleanField,
    EmailField,
    Field,
    HiddenField,
    RadioField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from scheduler.core.mail import LONGEST, is_address
from scheduler.web.fields import Form, MobileField, MomentField, tidy, tidy_line
from scheduler.web.i18n import LANGUAGES, lazy_gettext
from scheduler.web.i18n import gettext as _
from scheduler.web.portal import words

NAME_LONGEST = 80
TRIED_LONGEST = 2000


class DetailsForm(Form):
    """Who to call, and what we should know before."""

    given_name = StringField(
        lazy_gettext("First name"),
        filters=[tidy_line],
        validators=[
            InputRequired(lazy_gettext("Enter your first name.")),
            Length(max=NAME_LONGEST, message=lazy_gettext("Use at most 80 letters.")),
        ],
    )
    family_name = StringField(
        lazy_gettext("Last name"),
        filters=[tidy_line],
        validators=[
            InputRequired(lazy_gettext("Enter your last name.")),
            Length(max=NAME_LONGEST, message=lazy_gettext("Use at most 80 letters.")),
        ],
    )
    mobile = MobileField(
        lazy_gettext("Mobile number"),
        validators=[InputRequired(lazy_gettext("Enter your mobile number."))],
    )
    email = EmailField(
        lazy_gettext("E-mail"),
        filters=[tidy_line],
        validators=[
            Optional(),
            Length(max=LONGEST, message=lazy_gettext("This address is too long.")),
        ],
    )
    language = RadioField(lazy_gettext("Which language do you prefer?"))
    pain = RadioField(
        lazy_gettext("What hurts?"),
        validators=[InputRequired(lazy_gettext("Choose what hurts, or “I am not sure”."))],
    )
    pain_since = RadioField(
        lazy_gettext("How long has it hurt?"),
        validators=[Optional()],
    )
    tried = TextAreaField(
        lazy_gettext("What have you tried so far?"),
        filters=[tidy],
        validators=[
            Optional(),
            Length(
                max=TRIED_LONGEST,
                message=lazy_gettext("Please shorten this to 2,000 letters."),
            ),
        ],
    )
    consent = BooleanField("")
    reference = StringField("")  # people never see it; programs fill it in
    token = HiddenField("")
    hold = HiddenField("")
    site = HiddenField("")
    day = HiddenField("")
    start = MomentField("")

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        self.language.choices = [SelectChoice(code, name) for code, name in LANGUAGES.items()]
        self.pain.choices = [SelectChoice(code, said) for code, said in words.pains()]
        self.pain_since.choices = [SelectChoice(code, said) for code, said in words.sinces()]

    def validate_given_name(self, field: Field) -> None:
        """Refuse a name of nothing but spaces."""
        if not field.data:
            raise ValidationError(_("Enter your first name."))

    def validate_family_name(self, field: Field) -> None:
        """Refuse a name of nothing but spaces."""
        if not field.data:
            raise ValidationError(_("Enter your last name."))

    def validate_email(self, field: Field) -> None:
        """Refuse what cannot be an address."""
        if field.data and not is_address(field.data):
            raise ValidationError(_("Enter an e-mail address like name@example.com."))

    def body(self) -> str:
        """Return everything typed, in one fixed spelling: what makes two sendings the same."""
        typed = {
            name: field.raw_data or []
            for name, field in self._fields.items()
            if name not in ("csrf_token", "token")
        }
        return json.dumps(typed, sort_keys=True)

    def wrong(self) -> list[tuple[str | None, str]]:
        """Return (id of the field, words) of each field that is wrong, from the top down."""
        return [
            (
                f"{field.id}-0" if isinstance(field, RadioField) else field.id,
                str(field.errors[0]),
            )
            for field in self
            if field.errors
        ]
