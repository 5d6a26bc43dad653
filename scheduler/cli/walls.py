"""Days and wall times as an operator types them, of our time only."""

from datetime import date, datetime, time
from typing import Any, NamedTuple

import click

YEARS = range(2000, 2200)


class NearType(click.DateTime):
    """A moment of our time: arithmetic with the ends of the calendar would fail."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it."""
        found: datetime = super().convert(value, param, ctx)
        if found.year not in YEARS:
            self.fail("choose a day that is not so far away.", param, ctx)
        return found


class Wall(NamedTuple):
    """A day, and a time of it; without one, the whole day is meant."""

    day: date
    time: time | None


class WallType(click.ParamType[Wall]):
    """A day, or a moment of one: midnight typed is a moment, and no whole day."""

    name = "wall"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Wall:
        """Read it."""
        if isinstance(value, Wall):
            return value
        has_time = "T" in str(value)
        found = (WALL if has_time else DATE).convert(value, param, ctx)
        return Wall(found.date(), found.time() if has_time else None)


DATE = NearType(formats=["%Y-%m-%d"])
WALL = NearType(formats=["%Y-%m-%dT%H:%M"])
MOMENT = WallType()
CLOCK = click.DateTime(formats=["%H:%M"])
