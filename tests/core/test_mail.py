"""Which mail addresses we take."""

import pytest

from scheduler.core.mail import is_address


@pytest.mark.parametrize(
    "text", ["june@example.org", "j.o'hara+call@mail.example.co", "a@xn--exmple-cua.com"]
)
def test_plain_addresses_are_taken(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "a,b@example.org",  # a mail program reads two
        "a;b@example.org",
        "a b@example.org",
        "<june@example.org",
        "june@example.org\r\nBcc: x@example.org",
        "june@example.org\n",
        "ju\0ne@example.org",
        "josé@example.org",
        "june@example..org",
        "june@-example.org",
        "june@example.org:x",
        "june@localhost",
        "@example.org",
        "j" * 250 + "@example.org",
    ],
)
def test_what_is_no_address_or_more_than_one_is_not(text: str) -> None:
    assert not is_address(text)
