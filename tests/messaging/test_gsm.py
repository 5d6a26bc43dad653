"""What a text costs."""

import pytest

from scheduler.messaging import gsm


@pytest.mark.parametrize(
    ("text", "short", "parts"),
    [
        pytest.param("a" * 160, True, 1, id="160 fit one"),
        pytest.param("a" * 161, True, 2, id="161 need two of 153"),
        pytest.param("a" * 306, True, 2, id="306 fit two"),
        pytest.param("a" * 307, True, 3, id="307 need three"),
        pytest.param("€" * 80, True, 1, id="a euro takes two places"),
        pytest.param("€" * 81, True, 2, id="81 euros are too many for one"),
        pytest.param("ñéà¿" * 40, True, 1, id="some accents are in the short alphabet"),
        pytest.param("í" + "a" * 69, False, 1, id="one letter turns the whole text long"),
        pytest.param("ã" + "a" * 70, False, 2, id="71 long ones need two of 67"),
        pytest.param("👍" * 35, False, 1, id="an emoji takes two places"),
        pytest.param("👍" * 36, False, 2, id="36 emoji need two"),
    ],
)
def test_parts_are_counted_as_carriers_count(text: str, short: bool, parts: int) -> None:
    assert gsm.cost(text) == gsm.Cost(short, parts)


def test_printers_signs_become_plain() -> None:
    assert gsm.fit("“It’s” – 10:45\u202fAM…") == '"It\'s" - 10:45 AM...'


def test_accents_stay_while_the_text_fits_and_go_when_it_would_not() -> None:
    short, long = "próxima sáb", "próxima ñ sáb " + "a" * 130

    assert gsm.fit(short) == short
    assert gsm.fit(long) == "proxima ñ sab " + "a" * 130
