"""Calling whoever was not reached: what came of it, and what follows from that."""

import enum
from collections.abc import Sequence
from datetime import datetime

from scheduler.booking import notices
from scheduler.booking.models import Appointment, Status
from scheduler.core.errors import Invalid
from scheduler.messaging import ending
from scheduler.patients.models import Patient
from scheduler.plans import service as plans
from scheduler.tasks import queries as open_tasks
from scheduler.tasks import service as tasks

#: The kind of the task that keeps what came of a call; it is opened and closed at once.
CALLED = "called"


class Answer(enum.StrEnum):
    """What came of calling somebody who was not reached."""

    WILL_COME = "will-come"
    OTHER_TIME = "other-time"
    TOLD = "told"
    LEFT_MESSAGE = "left-message"
    NO_ANSWER = "no-answer"
    WRONG_NUMBER = "wrong-number"


WORDS = {
    Answer.WILL_COME: "They will come",
    Answer.OTHER_TIME: "They ask for another time",
    Answer.TOLD: "They know now",
    Answer.LEFT_MESSAGE: "Left a message",
    Answer.NO_ANSWER: "No answer",
    Answer.WRONG_NUMBER: "Wrong number",
}
#: After these nobody has heard anything yet: they stay on the list.
NOBODY_HEARD = frozenset({Answer.NO_ANSWER, Answer.WRONG_NUMBER})


def note_call(
    patient: Patient,
    visits: Sequence[Appointment],
    answer: Answer,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Note what came of calling a patient about their coming visits.

    Who will come has confirmed them; who asks for another time keeps these until somebody finds
    one. Once they have heard, they know how each stands, called off or moved, and what did not
    reach them by message is dealt with too.

    Raises:
        Invalid: a visit is not theirs, or is not to come any more.
    """
    if any(not _may_speak_of(v, patient, now=now) for v in visits):
        raise Invalid("One of these visits has changed. Please look at the list again.")
    task = tasks.open_task(
        CALLED, patient_topic(patient), now=now, patient_id=patient.id, site_id=patient.home_site_id
    )
    tasks.close(task.id, WORDS[answer], version=task.version, actor=actor, now=now)
    for visit in visits:
        if answer not in NOBODY_HEARD:
            notices.note_heard(visit)
        if visit.status is not Status.BOOKED:
            continue
        if answer is Answer.WILL_COME:
            plans.confirm(visit, actor=actor, now=now)
        elif answer is Answer.OTHER_TIME:
            plans.ask_change_by_text(visit.topic, actor=actor, now=now)
    if answer in NOBODY_HEARD:
        return
    for unsent in open_tasks.open_of(patient.id):
        if unsent.kind == ending.NOT_SENT:
            tasks.close(unsent.id, WORDS[answer], version=unsent.version, actor=actor, now=now)


def _may_speak_of(visit: Appointment, patient: Patient, *, now: datetime) -> bool:
    still_matters = visit.is_live or notices.untold(visit) is not None
    return visit.patient_id == patient.id and still_matters and visit.starts_at > now


def patient_topic(patient: Patient) -> str:
    """Return what a call is about."""
    return f"patient:{patient.id}"
