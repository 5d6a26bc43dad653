"""What may be sent, when, and what an answer means."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from scheduler.messaging import rules
from scheduler.messaging.rules import Intent, Trouble
from scheduler.messaging.states import State

BOSTON = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    "text",
    ["1", "1.", " 1 ", "(1)", "1!", "1️⃣", "ok", "OK!", "Okay", "sí", "Si", "sim", "Confirm", "c"],
)
def test_a_one_and_its_kin_confirm(text: str) -> None:
    assert rules.intent(text) is Intent.CONFIRM


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "2.",
        "change",
        "Reschedule",
        "cambiar",
        "remarcar",
        "I need to change my appointment",
        "can't make it",
        "please cancel my appointment",
        "no puedo ir",
    ],
)
def test_a_two_and_wishes_for_another_time_ask_for_a_change(text: str) -> None:
    assert rules.intent(text) is Intent.CHANGE


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop.",
        "Stop!!",
        "STOPALL",
        "unsubscribe",
        "END",
        "Quit",
        "revoke",
        "OPT OUT",
        "opt-out",
        "cancel",
        "Cancel.",
        "stpo",
        "please stop",
        "stop please",
        "STOP 1",
        "why don't you stop texting me",
        "Stop. I will call you myself",
        "Pára!",
        "para de me mandar mensagem",
        "please stop texting me",
        "Don't text me anymore",
        "do not contact me",
        "no more texts",
        "take me off your list",
        "wrong number",
        "No más",
        "no mas mensajes",
        "no me envíen mensajes",
        "dejen de escribirme",
        "PARAR",
        "pare",
        "basta",
        "cancelar",
        "sair",
        "não quero mais receber mensagens",
        "parem de mandar mensagem",
        "descadastrar",
    ],
)
def test_stopping_is_believed_in_many_words_and_three_languages(text: str) -> None:
    assert rules.intent(text) is Intent.STOP


@pytest.mark.parametrize("text", ["START", "unstop", "Yes", "YES!", "comenzar"])
def test_the_carriers_words_for_opting_in_never_confirm(text: str) -> None:
    assert rules.intent(text) is Intent.START


@pytest.mark.parametrize(
    "text",
    [
        "I have chest pain",
        "can't breathe",
        "I can’t breathe!!",
        "I want to die",
        "thinking of suicide",
        "this is an emergency",
        "911",
        "me duele, no puedo respirar",
        "dor no peito",
        "STOP I have chest pain",
        "overdose",
        "I don't want to live anymore",
        "I can't stop bleeding",
        "having trouble breathing",
        "ya no quiero vivir",
        "Não quero mais viver",
    ],
)
def test_danger_is_heard_before_anything_else(text: str) -> None:
    assert rules.intent(text) is Intent.EMERGENCY


@pytest.mark.parametrize(
    "text",
    [
        *("", "👍", "12", "1 2", "1 but later?", "who is this", "I am at the bus stop", "a" * 1600),
        *("3", "I can't stop vomiting", "please don't stop texting", "Can I stop by?"),
    ],
)
def test_what_is_not_certain_is_for_a_person(text: str) -> None:
    assert rules.intent(text) is Intent.UNCLEAR


def test_a_status_only_moves_forward_whatever_order_reports_come_in() -> None:
    reports = ["queued", "sent", "delivered", "undelivered", "failed"]
    ends = set()

    for order in permutations(reports):
        state = State.SENDING
        for word in [w for report in order for w in (report, report)]:
            reported = rules.REPORTED[word]
            if rules.moves_forward(state, reported):
                assert state is not State.DELIVERED
                state = reported
        ends.add(state)

    assert ends == {State.DELIVERED}


def test_the_first_of_two_failures_stands() -> None:
    assert not rules.moves_forward(State.UNDELIVERED, State.FAILED)
    assert not rules.moves_forward(State.FAILED, State.UNDELIVERED)
    assert rules.moves_forward(State.UNDELIVERED, State.DELIVERED)


def test_every_state_says_what_may_follow_it() -> None:
    assert set(rules.MAY_BECOME) == set(State)
    assert all(state not in after for state, after in rules.MAY_BECOME.items())


def test_waiting_doubles_up_to_half_an_hour_and_is_never_the_same_for_all() -> None:
    waits = [rules.retry_delay(n, 0.5).total_seconds() for n in range(1, 9)]

    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800]
    assert rules.retry_delay(1, 0) == timedelta(seconds=24)
    assert rules.retry_delay(1, 1) == timedelta(seconds=36)


@pytest.mark.parametrize(
    ("wall", "goes"),
    [
        pytest.param((7, 59), (2, 8, 0), id="before eight it waits until eight"),
        pytest.param((8, 0), (2, 8, 0), id="at eight it goes"),
        pytest.param((20, 59), (2, 20, 59), id="before nine in the evening it goes"),
        pytest.param((21, 0), (3, 8, 0), id="at nine it waits until the morning"),
    ],
)
def test_nobody_is_texted_at_night(wall: tuple[int, int], goes: tuple[int, int, int]) -> None:
    moment = datetime(2026, 3, 2, *wall, tzinfo=BOSTON)

    day = rules.next_daytime(moment.astimezone(UTC), BOSTON)

    assert day == datetime(2026, 3, goes[0], goes[1], goes[2], tzinfo=BOSTON)


def test_the_morning_after_the_clocks_change_is_still_eight_on_the_wall() -> None:
    eve = datetime(2026, 3, 7, 22, 0, tzinfo=BOSTON)

    assert rules.next_daytime(eve, BOSTON) == datetime(2026, 3, 8, 12, 0, tzinfo=UTC)


def test_the_provider_may_keep_trying_no_longer_than_the_text_is_of_use() -> None:
    now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

    assert rules.validity_seconds(now + timedelta(minutes=5), now=now) == 300
    assert rules.validity_seconds(now + timedelta(days=2), now=now) == 36_000
    assert rules.validity_seconds(now - timedelta(minutes=5), now=now) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("21610", 400, Trouble.OPTED_OUT),
        ("30034", None, Trouble.STOPS_ALL),
        ("20003", 401, Trouble.STOPS_ALL),
        (None, 401, Trouble.STOPS_ALL),
        ("21211", 400, Trouble.BAD_NUMBER),
        ("20429", 429, Trouble.LATER),
        (None, 429, Trouble.LATER),
        ("30003", None, Trouble.ONCE_MORE),
        ("30007", None, Trouble.NEVER),
        ("99999", 400, Trouble.NEVER),
    ],
)
def test_a_refusal_is_read_by_its_code(code: str | None, status: int | None, kind: Trouble) -> None:
    assert rules.trouble(code, status) is kind


def test_a_lease_outlasts_three_whole_calls() -> None:
    assert rules.LEASE >= 3 * rules.CALL_LIMIT
