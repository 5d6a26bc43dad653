"""Telephone numbers. E.164 inside, American form outside."""

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

_FICTIONAL = re.compile(r"\+1[2-9]\d{2}55501\d{2}")


@dataclass(frozen=True, slots=True)
class NotAMobile(Exception):
    """Why a number cannot receive texts, as a sentence for the person who typed it."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def mobile(typed: str) -> str:
    """Return the E.164 form of a US or Canadian number that could be a mobile.

    The numbering plan gives mobiles and landlines the same ranges, so a number is taken as
    textable unless the plan says it is not (toll-free, premium). 555-0100 to 555-0199 are
    reserved for fiction and are taken: demo and tests use them.

    Raises:
        NotAMobile: it cannot be read, is outside +1, or is of a kind that takes no texts.
    """
    try:
        number = phonenumbers.parse(typed, "US")
    except NumberParseException:
        raise NotAMobile("Enter a mobile number, like (781) 555-0134.") from None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if _FICTIONAL.fullmatch(e164):
        return e164
    if number.country_code != 1:
        raise NotAMobile("Enter a US mobile number. We cannot text other countries.")
    if not phonenumbers.is_valid_number(number):
        raise NotAMobile("This is not a full US number. Check for a missing digit.")
    if phonenumbers.number_type(number) not in {
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
    }:
        raise NotAMobile("This number cannot get texts. Enter a mobile number.")
    return e164


def shown(e164: str) -> str:
    """Return a number as Americans write it: "(781) 555-0134"; other text comes back as it is."""
    if len(e164) == 12 and e164.startswith("+1"):
        return f"({e164[2:5]}) {e164[5:8]}-{e164[8:]}"
    return e164
