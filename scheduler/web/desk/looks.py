"""Looking is a deed too: who saw what stands in the record before the page is sent.

The page is rendered first, from what was read; then the reading is let go of and the look is
written in a transaction of its own. If that fails, no page is shown.
"""

from scheduler.accounts.rules import ABSOLUTE
from scheduler.audit import service as audit
from scheduler.core import clock
from scheduler.core.db import let_go, transaction
from scheduler.web import login


def note(
    action: str,
    subject: str,
    *,
    patient_id: int | None = None,
    once_in_a_while: bool = False,
    **detail: object,
) -> None:
    """Write a look into the record.

    Args:
        once_in_a_while: For boards and lists: once a person and 15 minutes. Such a page may
            refresh itself, which writes nothing while the look that opened it is on record; a
            request that only says it is a refresh does not pass for one.
    """
    actor, now = login.me().actor, clock.now()
    every = ABSOLUTE if login.is_poll() else audit.LOOK_EVERY
    seen = once_in_a_while and audit.looked_recently(
        action, subject, actor=actor, now=now, every=every
    )
    let_go()
    if seen:
        return
    with transaction():
        audit.record(action, subject, actor=actor, now=now, patient_id=patient_id, **detail)
