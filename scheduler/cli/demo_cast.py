"""Who lives in the demo: invented people, and how far each has come."""

import enum
from dataclasses import dataclass

from scheduler.messaging.senders.simulated import (
    LANDLINE,
    SWITCHED_OFF,
)
from scheduler.patients.models import Pain

CONSENT = (
    "I agree to texts about my appointments from Emerge Wellness. "
    "Message and data rates may apply. Reply STOP to end, HELP for help."
)
FIRST_NAMES = """
June Marta Wes Bea Noor Paul Lena Tom Grace Sam Hal Omar Abel Mina Vera Kit Ana Jo Lucia Rafael
Ivy Otto Nadia Felix Rosario Theo Clara Hugo Amina Leo Ruth Diego Ella Marcus Sofia Ned Pilar
Gus Hannah Joaquim Edith Malik Greta Ivan Beatriz Stan Olive Ravi Celia Dom Freya Walt Inez
Percy Dora Emil Flora Boris Alma Roy
""".split()  # noqa: SIM905  easier to read than sixty lines
FAMILY_NAMES = """
Okafor Silva Carter Novak Aziz Lindqvist Brandt Reyes Kimura Whitfield Jensen Haddad Moreau
Sorensen Castillo Duarte Beckett Mora Fontaine Teixeira Abbott Keller Rahman Vance Delgado Osei
Pruitt Lindgren Diallo Marsh Ashby Fuentes Holt Baptiste Ferro Tully Serrano Quill Feld Nogueira
Barlow Hassan Voss Petrov Almeida Kowal Finch Menon Arroyo Sutter Dahl Crane Soto Wick Lund
Bauer Hart Orlov Cruz Penn
""".split()  # noqa: SIM905  easier to read than sixty lines
TRIED = (
    "Gabapentin for a year, it made me sleepy.",
    "Physical therapy twice a week and a brace.",
    "Nerve blocks, they helped for some weeks.",
    "Creams and an exercise class.",
    "Two kinds of tablets, I do not know the names.",
)


class Step(enum.IntEnum):
    """How far a course has come."""

    CALL = 1  # a candidate: to be cleared
    HALF = 2  # the clearance is begun
    BOOKED = 3  # the first infusion, and what follows by itself
    CHAT = 4  # the chat was held: a draft, or what blocks it
    SIGNED = 5  # a clinician signed; no date yet
    RUNNING = 6  # all visits are booked


@dataclass(frozen=True)
class Course:
    """One course: on which day from today it begins, and how far it has come."""

    begins: int
    until: Step
    minutes_ago: int | None = None  # the first infusion began so long ago; else mid-morning
    score: int = 4
    severity: int = 1
    pain: Pain = Pain.CRPS
    declined: bool = False
    changed: bool = False  # the clinician leaves a visit out of the last phase
    ceased: bool = False  # and ends it before its time
    refused: bool = False  # not cleared
    stops: bool = False  # wishes the first infusion to end early
    loses_one: bool = False  # calls a visit off: it is to be placed again
    defers: bool = False  # goes away for a while: the last visit is put off
    pencilled: bool = False  # the likely dates are kept before the chat
    low: bool = False  # says in the chat what a clinician must hear first


#: Whose course is told from the call on, by number. The others' began before it was kept here.
COURSES: dict[int, Course] = {
    21: Course(0, Step.BOOKED, minutes_ago=38),
    22: Course(0, Step.BOOKED, minutes_ago=68),
    25: Course(3, Step.BOOKED),
    28: Course(2, Step.CALL),
    29: Course(1, Step.HALF),
    30: Course(-3, Step.BOOKED, pencilled=True),
    32: Course(-8, Step.BOOKED),
    33: Course(1, Step.BOOKED, refused=True),
    34: Course(-5, Step.CHAT),
    35: Course(-4, Step.CHAT, score=5, pain=Pain.DIABETIC),
    36: Course(-6, Step.CHAT, severity=3, low=True),
    37: Course(-19, Step.RUNNING, defers=True),
    38: Course(-12, Step.RUNNING, pain=Pain.HERPETIC),
    39: Course(-18, Step.RUNNING, ceased=True),
    40: Course(-17, Step.RUNNING, loses_one=True),
    41: Course(-8, Step.SIGNED, score=5),
    42: Course(-10, Step.SIGNED, declined=True, pain=Pain.FIBROMYALGIA),
    43: Course(-9, Step.SIGNED, score=7, stops=True),
    44: Course(-11, Step.SIGNED, changed=True),
}
#: Who is reached at another number than the one on record, and whose phone others read.
IN_CONFIDENCE: dict[int, dict[str, object]] = {
    10: {"private_mobile": "+17815550185"},
    16: {"shares_phone": True},
}
PHONE_ONLY = 5


def mobile_of(number: int) -> str | None:
    """Return somebody's mobile: one has none, one's is switched off, one gave a landline."""
    special = {11: None, 17: f"+1781555{SWITCHED_OFF}", 27: f"+1781555{LANDLINE}"}
    return special.get(number, f"+1781555{100 + number:04d}")
