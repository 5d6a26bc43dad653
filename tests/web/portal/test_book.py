"""A visitor books a call, through HTTP alone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from scheduler.audit.models import AuditEntry
from scheduler.booking.models import Appointment, Hold
from scheduler.core.db import db
from scheduler.messaging.models import ConsentEntry, Message
from scheduler.patients import service as patients
from scheduler.patients.models import Patient, Standing
from scheduler.web.portal import words
from tests.conftest import Keep, StoppedClock
from tests.web.portal.conftest import ANSWERS, Page, Visitor

NEW_YORK = ZoneInfo("America/New_York")
TUESDAY_NINE = datetime(2026, 3, 3, 9, 0, tzinfo=NEW_YORK)
ONE_CALLER = "danvers"


def booked(app: Flask) -> list[Appointment]:
    """Return every appointment there is."""
    with app.app_context():
        return list(db.session.scalars(select(Appointment).order_by(Appointment.id)))


def count(app: Flask, model: type) -> int:
    """Return how many rows a table has."""
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(model)).one()


def test_a_call_is_booked_over_four_screens(app: Flask, visitor: Visitor) -> None:
    first = visitor.get("/book")
    assert "Which clinic is best for you?" in first.text
    second = visitor.get("/book/time?site=woburn")
    assert "When can we call you?" in second.text
    third = visitor.post("/book/time", second.hidden() | {"start": second.starts[2]})
    assert visitor.path == "/book/details"
    fourth = visitor.send(third)

    assert visitor.path == "/book/booked"
    assert "Your call is booked" in fourth.text
    assert "Monday, March 2, 12:30 PM" in fourth.text
    assert "Eastern time" in fourth.text
    assert "ending in 34" in fourth.text
    [appointment] = booked(app)
    assert appointment.starts_at == datetime(2026, 3, 2, 17, 30, tzinfo=UTC)
    assert appointment.is_online


def test_what_was_typed_is_kept_with_the_enquirer(app: Flask, visitor: Visitor) -> None:
    page = visitor.choose()
    visitor.send(
        page,
        email="june@example.org",
        language="es",
        pain_since="1-to-5-years",
        tried="Gabapentin,\r\nphysical therapy",
    )

    with app.app_context():
        patient = db.session.scalars(select(Patient)).one()
        assert patient.standing is Standing.ENQUIRER
        assert (patient.given_name, patient.family_name) == ("June", "Okafor")
        assert (patient.mobile, patient.email) == ("+17815550134", "june@example.org")
        assert (patient.language, patient.pain, patient.pain_since) == (
            "es",
            "crps",
            "1-to-5-years",
        )
        assert patient.tried == "Gabapentin,\nphysical therapy"


def test_opening_pages_writes_nothing(app: Flask, visitor: Visitor) -> None:
    for path in ("/", "/book", "/book/time?site=either", "/book/time?site=woburn&day=2026-03-04"):
        assert visitor.get(path).status == 200

    assert count(app, Hold) == 0
    assert count(app, AuditEntry) == 0


def test_consent_is_off_at_first_and_kept_word_for_word_when_given(
    app: Flask, visitor: Visitor
) -> None:
    page = visitor.choose()
    assert page.value("consent") is None
    visitor.send(page, consent="y")

    with app.test_request_context():
        entry = db.session.scalars(select(ConsentEntry)).one()
        assert entry.wording == words.consent()
        assert entry.number == "+17815550134"
        assert entry.origin == visitor.address
        for needed in ("Msg & data rates may apply", "HELP", "STOP", "do not have to agree"):
            assert needed in entry.wording


def test_without_consent_none_is_written(app: Flask, visitor: Visitor) -> None:
    visitor.send(visitor.choose())

    assert count(app, ConsentEntry) == 0
    assert len(booked(app)) == 1


def test_messages_are_rows_of_the_same_moment(app: Flask, visitor: Visitor) -> None:
    visitor.send(visitor.choose(), consent="y")

    with app.app_context():
        assert "+17815550134" in set(db.session.scalars(select(Message.recipient)))


WRONG = [
    ("given_name", "", "Enter your first name."),
    ("given_name", "   ", "Enter your first name."),
    ("given_name", "x" * 81, "Use at most 80 letters."),
    ("family_name", "", "Enter your last name."),
    ("family_name", "y" * 81, "Use at most 80 letters."),
    ("mobile", "", "Enter your mobile number."),
    ("mobile", "hello", "Enter a mobile number, like (781) 555-0134."),
    ("mobile", "781 555", "This is not a full US number."),
    ("mobile", "+44 7911 123456", "We cannot text other countries."),
    ("mobile", "800 555 0199 0", "This is not a full US number."),
    ("email", "june", "Enter an e-mail address like name@example.com."),
    ("email", "june@x", "Enter an e-mail address like name@example.com."),
    ("email", "a" * 250 + "@example.org", "This address is too long."),
    ("pain", "", "Choose what hurts"),
    ("pain", "toothache", "Not a valid choice"),
    ("pain_since", "always", "Not a valid choice"),
    ("language", "tlh", "Not a valid choice"),
    ("tried", "z" * 2001, "Please shorten this to 2,000 letters."),
]


def test_a_wrong_answer_is_named_at_its_field_and_nothing_typed_is_lost(
    app: Flask, visitor: Visitor, subtests: pytest.Subtests
) -> None:
    typed_before = {"email": "june@example.org", "tried": "rest", "consent": "y"}
    page = visitor.choose()
    for name, typed, said in WRONG:
        with subtests.test(name=name, typed=typed[:20]):
            page = visitor.send(page, **(typed_before | {name: typed}))

            assert page.status == 422
            assert page.title.startswith("Error:")
            assert "Please check this" in page.text
            assert page.text.count(said) == 2, "at the top and at the field"
            assert f'href="#{name}' in page.html
            assert f'id="{name}-error"' in page.html
            for other_name, value in (ANSWERS | typed_before | {name: typed}).items():
                is_choice = other_name == name and name in ("pain", "pain_since", "language")
                kept = (page.value(other_name) or "").strip()
                assert kept == ("" if is_choice else value.strip()), other_name
            assert page.value("start")
    assert booked(app) == []

    page = visitor.send(page, **typed_before)
    assert "Your call is booked" in page.text


def test_every_error_is_listed_at_once(visitor: Visitor) -> None:
    page = visitor.post("/book/details", visitor.choose().hidden())

    assert page.status == 422
    for said in ("Enter your first name.", "Enter your last name.", "Enter your mobile number."):
        assert page.text.count(said) == 2


def test_no_sign_typed_breaks_anything(app: Flask, visitor: Visitor) -> None:
    page = visitor.send(
        visitor.choose(),
        given_name="Jun\x00e\u202e<script>",
        family_name="O'Brien \U0001f600",
        tried="a\x00b\x1b[31m",
    )

    assert "Your call is booked" in page.text
    with app.app_context():
        patient = db.session.scalars(select(Patient)).one()
        assert patient.given_name == "June<script>"
        assert patient.tried == "ab[31m"


@pytest.mark.parametrize(
    "start",
    [
        "",
        "noon",
        "2026-03-03T09:00",
        "2026-03-03T09:00+99:00",
        "0001-01-01T00:00+00:00",
        "9999-12-31T23:59+00:00",
    ],
)
def test_without_a_time_the_page_asks_for_one(visitor: Visitor, start: str) -> None:
    page = visitor.get("/book/time?site=woburn&day=2026-03-03")
    page = visitor.post("/book/time", page.hidden() | {"start": start})

    assert page.status == 422
    assert page.text.count("Choose one of the times.") == 2
    assert "Tuesday, March 3" in page.text
    assert 'href="#start"' in page.html


@pytest.mark.parametrize(
    "start",
    [
        "2026-03-01T15:00+00:00",
        "2026-03-03T14:07+00:00",
        "2099-01-01T15:00+00:00",
    ],
)
def test_a_time_that_is_not_offered_is_refused_with_others(visitor: Visitor, start: str) -> None:
    page = visitor.get("/book/time?site=woburn&day=2026-03-03")
    page = visitor.post("/book/time", page.hidden() | {"start": start})

    assert page.status == 409
    assert page.starts


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("soon", "We cannot read this date."),
        ("2/30/2026", "We cannot read this date."),
        ("1/1/2026", "is in the past"),
        ("12/31/2026", "We book calls up to Wed, Apr 1."),
    ],
)
def test_a_date_that_cannot_be_is_explained_and_stays_in_its_field(
    visitor: Visitor, typed: str, said: str
) -> None:
    page = visitor.get(f"/book/time?site=woburn&date={typed}")

    assert page.status == 422
    assert page.text.count(said) == 2
    assert page.value("date") == typed


def test_a_typed_date_shows_its_times(visitor: Visitor) -> None:
    page = visitor.get("/book/time?site=woburn&date=3/10/2026")

    assert page.status == 200
    assert "Tuesday, March 10" in page.text
    assert all(start.startswith("2026-03-10") for start in page.starts)


def test_a_full_day_is_shown_as_full_with_a_way_out(
    app: Flask, visitor: Visitor, keep: Keep
) -> None:
    from scheduler.booking import service as booking  # noqa: PLC0415
    from scheduler.booking.models import HoldKind  # noqa: PLC0415
    from scheduler.clinic.models import ServiceCode  # noqa: PLC0415

    page = visitor.get(f"/book/time?site={ONE_CALLER}&day=2026-03-03")
    with keep():
        for number, start in enumerate(page.starts):
            booking.hold(
                ServiceCode.CALL,
                2,
                datetime.fromisoformat(start),
                holder=f"course-{number}",
                now=datetime(2026, 3, 2, 15, tzinfo=UTC),
                kind=HoldKind.PENCIL,
            )

    page = visitor.get(f"/book/time?site={ONE_CALLER}&day=2026-03-03")

    assert page.starts == []
    assert "Danvers is full on Tuesday, March 3." in page.text
    assert "See Wed, Mar 4" in page.text
    assert "See Woburn" in page.text
    assert "(978) 555-0100" in page.text
    assert "Mar 3 full" in page.text


def test_a_day_nobody_works_says_so(visitor: Visitor) -> None:
    page = visitor.get("/book/time?site=woburn&date=3/7/2026")

    assert "We make no calls on Saturday, March 7." in page.text


def test_either_clinic_offers_a_time_once_and_takes_one_with_people(
    app: Flask, visitor: Visitor, other: Visitor
) -> None:
    woburn = visitor.get("/book/time?site=woburn&day=2026-03-03").starts
    either = visitor.get("/book/time?site=either&day=2026-03-03").starts
    assert either == woburn

    for person, mobile in ((visitor, "781 555 0101"), (other, "781 555 0102")):
        person.send(person.choose(TUESDAY_NINE, site="either"), mobile=mobile)
    third = Visitor(app.test_client(), address="192.0.2.1")
    page = third.send(third.choose(TUESDAY_NINE, site="either"), mobile="781 555 0103")

    assert "Your call is booked" in page.text
    assert sorted(a.site_id for a in booked(app)) == [1, 1, 2]


def test_a_time_that_is_held_is_kept_from_others_and_shown_until_when(
    visitor: Visitor, other: Visitor
) -> None:
    page = visitor.choose(TUESDAY_NINE, site=ONE_CALLER)

    assert "We keep this time for you until 10:10 AM." in page.text
    starts = other.get(f"/book/time?site={ONE_CALLER}&day=2026-03-03").starts
    assert "2026-03-03T14:00+00:00" not in starts


def test_going_back_shows_ones_own_time_still_free(visitor: Visitor) -> None:
    visitor.choose(TUESDAY_NINE, site=ONE_CALLER)
    page = visitor.get(f"/book/time?site={ONE_CALLER}&day=2026-03-03")
    assert "2026-03-03T14:00+00:00" in page.starts

    again = visitor.post("/book/time", page.hidden() | {"start": "2026-03-03T14:00+00:00"})

    assert visitor.path == "/book/details"
    assert "Tue, Mar 3, 9:00 AM" in again.text


def test_more_time_is_given_on_asking_and_nothing_is_lost(
    visitor: Visitor, clock: StoppedClock
) -> None:
    page = visitor.choose(TUESDAY_NINE)
    clock.advance(minutes=8)

    page = visitor.send(page, more="1", given_name="Ju", mobile="781 5")

    assert page.status == 200
    assert "We keep this time for you until 10:18 AM." in page.text
    assert (page.value("given_name"), page.value("mobile")) == ("Ju", "781 5")
    assert "Please check this" not in page.text


def test_a_time_is_kept_for_thirty_minutes_at_most(visitor: Visitor, clock: StoppedClock) -> None:
    page = visitor.choose(TUESDAY_NINE)
    for _ in range(4):
        clock.advance(minutes=7)
        page = visitor.send(page, more="1")

    assert "We keep this time for you until 10:30 AM." in page.text
    assert "I need more time" not in page.text


def test_a_hold_that_ran_out_is_honoured_when_nobody_took_it(
    app: Flask, visitor: Visitor, clock: StoppedClock
) -> None:
    page = visitor.choose(TUESDAY_NINE, site=ONE_CALLER)
    clock.advance(minutes=45)

    page = visitor.send(page)

    assert "Your call is booked" in page.text
    assert [a.starts_at for a in booked(app)] == [TUESDAY_NINE]


def test_a_hold_that_ran_out_and_was_taken_offers_others_and_keeps_what_was_typed(
    app: Flask, visitor: Visitor, other: Visitor, clock: StoppedClock
) -> None:
    page = visitor.choose(TUESDAY_NINE, site=ONE_CALLER)
    clock.advance(minutes=45)
    other.send(other.choose(TUESDAY_NINE, site=ONE_CALLER), mobile="781 555 0199")

    page = visitor.send(page, tried="rest", email="june@example.org", consent="y")

    assert page.status == 409
    assert "Tue, Mar 3, 9:00 AM was just taken by someone else." in page.text
    assert len(page.starts) == 4
    assert "2026-03-03T14:15+00:00" in page.starts
    for name, value in {"given_name": "June", "tried": "rest", "pain": "crps"}.items():
        assert page.value(name) == value
    assert count(app, Patient) == 1, "the visitor's record is not kept without an appointment"

    page = visitor.send(page, start="2026-03-03T14:15+00:00")

    assert "Your call is booked" in page.text
    assert "Tuesday, March 3, 9:15 AM" in page.text


def test_taken_and_no_time_chosen_asks_again(
    visitor: Visitor, other: Visitor, clock: StoppedClock
) -> None:
    page = visitor.choose(TUESDAY_NINE, site=ONE_CALLER)
    clock.advance(minutes=45)
    other.send(other.choose(TUESDAY_NINE, site=ONE_CALLER), mobile="781 555 0199")
    page = visitor.send(page)
    page = visitor.send(page)

    assert page.status == 422
    assert "Choose one of the times." in page.text
    assert page.value("given_name") == "June"
    assert page.starts


def test_details_without_a_hold_of_ones_own_lead_back_to_the_times(
    visitor: Visitor, other: Visitor
) -> None:
    visitor.choose(TUESDAY_NINE)
    page = other.get("/book/details?hold=1&site=woburn&day=2026-03-03")

    assert other.path == "/book/time"
    assert "Please choose your time once more." in page.text
    assert "Tuesday, March 3" in page.text


@pytest.mark.parametrize("hold", ["", "x", "999999999999999999999", "²", "-1"])
def test_a_made_up_hold_leads_back_to_the_times(visitor: Visitor, hold: str) -> None:
    visitor.choose(TUESDAY_NINE)
    assert visitor.get(f"/book/details?hold={hold}&site=woburn").status == 200
    assert visitor.path == "/book/time"


def test_sending_the_same_form_twice_books_once(app: Flask, visitor: Visitor) -> None:
    page = visitor.choose()
    first = visitor.send(page)
    second = visitor.send(page)

    assert "Your call is booked" in first.text
    assert "Your call is booked" in second.text
    assert len(booked(app)) == 1
    assert count(app, Patient) == 1


def test_a_double_click_books_once(app: Flask, visitor: Visitor) -> None:
    page = visitor.choose()
    form = page.hidden() | ANSWERS
    cookie = visitor.browser.get_cookie("emerge")
    assert cookie is not None

    def click(_: int) -> str:
        browser = app.test_client()
        browser.set_cookie("emerge", cookie.value)
        return browser.post("/book/details", data=form, follow_redirects=True).text

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(click, range(4)))

    assert all("Your call is booked" in text for text in answers)
    assert len(booked(app)) == 1
    assert count(app, Patient) == 1


def test_the_same_form_with_other_words_is_not_a_second_booking(
    app: Flask, visitor: Visitor
) -> None:
    page = visitor.choose()
    visitor.send(page)
    again = visitor.send(page, given_name="July")

    assert again.status == 409
    assert "This form was already sent." in again.text
    assert again.value("given_name") == "July"
    assert len(booked(app)) == 1


def test_a_program_that_fills_every_field_is_kindly_sent_to_the_phone(
    app: Flask, visitor: Visitor
) -> None:
    page = visitor.send(visitor.choose(), reference="https://example.com")

    assert page.status == 422
    assert "Please call us at (781) 555-0100" in page.text
    assert booked(app) == []
    assert count(app, Patient) == 0


def test_one_number_has_at_most_three_calls_ahead(app: Flask, visitor: Visitor) -> None:
    for _ in range(3):
        visitor.send(visitor.choose())
    page = visitor.send(visitor.choose(), mobile="+1 781.555.0134")

    assert page.status == 429
    assert "Please call us at" in page.text
    assert page.value("given_name") == "June"
    assert len(booked(app)) == 3


def test_one_address_books_at_most_ten_times_an_hour(
    app: Flask, visitor: Visitor, clock: StoppedClock
) -> None:
    for n in range(10):
        visitor.send(visitor.choose(), mobile=f"781 555 01{n:02}")
    assert visitor.send(visitor.choose(), mobile="781 555 0150").status == 429

    clock.advance(minutes=61)
    page = visitor.send(visitor.choose(), mobile="781 555 0150")

    assert "Your call is booked" in page.text


def test_a_place_with_many_addresses_is_one_place(visitor: Visitor) -> None:
    for n in range(10):
        visitor.address = f"2001:db8:1:2::{n:x}"
        visitor.send(visitor.choose(), mobile=f"781 555 01{n:02}")

    visitor.address = "2001:db8:1:2:ffff::1"
    assert visitor.send(visitor.choose(), mobile="781 555 0150").status == 429
    visitor.address = "2001:db8:1:3::1"
    assert "Your call is booked" in visitor.send(visitor.choose(), mobile="781 555 0150").text


def test_the_limit_of_a_number_holds_when_all_is_sent_at_once(
    app: Flask, visitor: Visitor, now: datetime
) -> None:
    browsers = [Visitor(app.test_client(), address=f"198.51.100.{n}") for n in range(6)]
    pages = [b.choose(now + timedelta(days=1, minutes=15 * n)) for n, b in enumerate(browsers)]

    with ThreadPoolExecutor(len(browsers)) as crowd:
        answers = list(
            crowd.map(lambda pair: pair[0].send(pair[1]).status, zip(browsers, pages, strict=True))
        )

    assert sorted(answers) == [200, 200, 200, 429, 429, 429]
    assert len(booked(app)) == 3


def test_nothing_typed_online_shows_or_changes_what_we_know(
    app: Flask, visitor: Visitor, keep: Keep, now: datetime
) -> None:
    with keep():
        known = patients.add(
            "June", "Okafor", mobile="+17815550134", email="old@example.org", actor="x", now=now
        )
        known_id = known.id
    page = visitor.send(visitor.choose(), email="new@example.org")

    assert "old@example.org" not in page.html
    with app.app_context():
        assert db.session.get_one(Patient, known_id).email == "old@example.org"
        assert count(app, Patient) == 2


def test_no_address_holds_anything_personal_or_medical(visitor: Visitor) -> None:
    visitor.send(visitor.choose(), tried="ketamine", email="june@example.org")

    asked = [page.response.request.url for page in visitor.seen]
    asked += [r.headers.get("Location", "") for p in visitor.seen for r in p.response.history]
    for url in asked:
        for word in ("June", "0134", "june", "crps", "ketamine", "pain", "infusion"):
            assert word not in url


def test_the_booked_page_is_for_the_browser_that_booked(visitor: Visitor, other: Visitor) -> None:
    page = visitor.send(visitor.choose())
    link = page.html.split('class="private-link" href="http://localhost')[1].split('"')[0]

    other.get(link)
    page = other.get("/book/booked")

    assert other.path == "/my/visit"
    assert "34" not in page.text.replace("555-0134", "")


def test_a_language_is_changed_in_the_middle_of_typing_without_losing_a_word(
    visitor: Visitor,
) -> None:
    page = visitor.send(visitor.choose(), speak="es", given_name="Ana", tried="reposo")

    assert page.status == 200
    assert '<html lang="es">' in page.html
    assert (page.value("given_name"), page.value("tried")) == ("Ana", "reposo")
    assert '<html lang="es">' in visitor.get("/book").html


def test_a_form_left_open_for_two_hours_still_books(
    app: Flask, visitor: Visitor, clock: StoppedClock
) -> None:
    page = visitor.choose(TUESDAY_NINE)
    clock.advance(hours=2)

    assert "Your call is booked" in visitor.send(page).text


def only_words(page: Page) -> str:
    """Return the page's words in small letters."""
    return page.text.lower()


def test_a_call_names_no_place_to_come_to(visitor: Visitor) -> None:
    page = visitor.send(visitor.choose())

    assert "will call you" in only_words(page)
    assert "Main Street" not in page.text.split("Would you rather")[0]


@pytest.mark.parametrize("start", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", ""])
@pytest.mark.parametrize("sent", [{}, {"more": "1"}, {"reference": "a program"}])
def test_a_start_edited_by_hand_is_asked_for_again_with_everything_typed(
    app: Flask, visitor: Visitor, start: str, sent: dict[str, str]
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    page = visitor.choose()

    answer = visitor.send(page, start=start, **sent)

    assert answer.status < 500
    assert answer.value("given_name") == "June"


@pytest.mark.parametrize(("day", "is_promised"), [("2026-03-02", False), ("2026-03-04", True)])
def test_a_reminder_is_promised_only_when_one_will_come(
    visitor: Visitor, day: str, is_promised: bool
) -> None:
    times = visitor.get(f"/book/time?site=woburn&day={day}")
    details = visitor.post("/book/time", times.hidden() | {"start": times.starts[2]})

    page = visitor.send(details, consent="y")

    assert "You get a text from us now" in page.text
    assert ("a reminder the day before" in page.text) is is_promised
