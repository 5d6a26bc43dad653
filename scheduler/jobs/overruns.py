"""Lets infusions that run late keep chair and nurse, as far as these are free."""

from datetime import datetime

from scheduler.booking.models import Appointment
from scheduler.core.db import db, let_go, transaction
from scheduler.treatment import chair


def run(*, now: datetime) -> int:
    """Extend what runs late, each visit in its own transaction; return how many changed."""
    numbers = [visit.id for visit in chair.running(now=now)]
    let_go()
    extended = 0
    for number in numbers:
        with transaction():
            extended += chair.extend_overrun(db.session.get_one(Appointment, number), now=now)
    return extended
