"""What a clinic of ours starts with."""

from scheduler.clinic import service as clinic
from scheduler.clinic.models import NeedKind, ServiceCode


def add_services() -> None:
    """Add the four services as the clinic runs them; each can be changed afterwards.

    A stay is 15 minutes of preparation, 40 of infusion and 30 of recovery; the chair is taken 10
    more for turnover. A call or a chat takes the whole person, an infusion one of a nurse's lanes.
    """
    infusion = (
        (NeedKind.CHAIR, 0, 95, None, False),
        (NeedKind.PERSON, 0, 85, "nurse", False),
        (NeedKind.STARTS, 15, 30, None, False),
    )
    day = 24 * 60
    clinic.add_service(
        ServiceCode.CALL,
        "Consultation call",
        visit_minutes=15,
        notice_minutes=120,
        horizon_days=30,
        is_online=True,
        needs=((NeedKind.PERSON, 0, 15, "calls", True),),
    )
    for code, name in (
        (ServiceCode.FIRST_INFUSION, "First infusion"),
        (ServiceCode.INFUSION, "Infusion"),
    ):
        clinic.add_service(
            code,
            name,
            visit_minutes=85,
            notice_minutes=day,
            horizon_days=180,
            needs_authority=True,
            needs=infusion,
        )
    clinic.add_service(
        ServiceCode.CHAT,
        "Follow-up chat",
        visit_minutes=20,
        notice_minutes=120,
        horizon_days=60,
        needs=((NeedKind.PERSON, 0, 20, "chats", True),),
    )
