"""The numbers a site may choose. Defaults stand here; a site's own answer is a row."""

from dataclasses import dataclass, fields
from datetime import time

from sqlalchemy import select

from scheduler.clinic.models import Setting
from scheduler.core.db import db


@dataclass(frozen=True)
class Settings:
    """One site's numbers. Minutes and hours say so in their names."""

    form_hold_minutes: int = 10
    form_hold_longest_minutes: int = 30
    offer_hold_minutes: int = 120
    offer_hold_same_day_minutes: int = 30
    undo_minutes: int = 15
    start_every_minutes: int = 15
    desk_change_delay_minutes: int = 15
    change_at_once_within_hours: int = 24
    quiet_until: time = time(8)
    quiet_from: time = time(21)
    texts_a_day: int = 1
    texts_a_week: int = 3
    infusion_minutes: int = 40
    recovery_minutes: int = 30
    turnover_minutes: int = 10
    chat_first_day: int = 1  # days after the first infusion
    chat_last_day: int = 7
    online_calls_per_number: int = 3
    online_bookings_per_address_per_hour: int = 10
    anonymous_holds_percent: int = 30
    holds_per_browser: int = 2


def of_site(site_id: int) -> Settings:
    """Return the settings of one site: the defaults, with its own answers put over them."""
    known = {field.name for field in fields(Settings)}
    own: dict[str, object] = {}
    for row in db.session.scalars(select(Setting).where(Setting.site_id == site_id)):
        if row.name in known:
            value = row.value["value"]
            is_time = isinstance(getattr(Settings, row.name, None), time)
            own[row.name] = time.fromisoformat(value) if is_time else value
    return Settings(**own)  # type: ignore[arg-type]
