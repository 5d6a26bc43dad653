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
    food_heavy_hours: int = 8  # before a visit: nothing heavy or fatty after that
    food_light_hours: int = 6  # nothing to eat after that
    drink_clear_hours: int = 2  # nothing to drink after that
    medicines_hours: int = 2  # usual medicines are taken by then
    ready_task_hours: int = 4  # before a visit: whoever has not answered by then is called
    consent_version: str = "2026-01"  # of the consent form now in use
    rest_hours: int = 24  # after a visit: no driving, no alcohol, no big decisions
    call_after_hours: int = 24
    observe_first_minutes: int = 10  # after the start
    observe_every_minutes: int = 15  # while the drip runs
    observe_recovery_minutes: int = 15  # afterwards
    discharge_score_least: int = 9  # of 10
    discharge_pressure_percent: int = 20  # how far from where it began
    discharge_oxygen_least: int = 92  # percent
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
