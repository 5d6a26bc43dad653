"""Statements that are built once and told the time each time they run.

Building a large statement takes ten times as long as running it; what every page asks is built
once. The moments in it are parameters then, and functions that put a condition together out of
`now` do not know the difference.
"""

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import BindParameter, bindparam

from scheduler.core.db import UtcDateTime


class Moment:
    """Stands for a moment while a statement is built; so does it plus or minus a timedelta."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._by = timedelta()
        self._asked: dict[str, timedelta] = {}

    def as_datetime(self) -> datetime:
        """Return it as what it stands for, for whoever builds conditions with it."""
        return cast(datetime, self)

    def told(self, moment: datetime) -> dict[str, datetime]:
        """Return the parameters of a run at `moment`."""
        return {name: moment + by for name, by in self._asked.items()}

    def __add__(self, by: timedelta) -> "Moment":
        later = Moment(self._name)
        later._by, later._asked = self._by + by, self._asked
        return later

    def __sub__(self, by: timedelta) -> "Moment":
        return self + -by

    def __clause_element__(self) -> BindParameter[datetime]:
        name = f"{self._name}_{len(self._asked)}"
        self._asked[name] = self._by
        return bindparam(name, type_=UtcDateTime())
