"""Taking several messages at once: always in one order, so that no two wait for each other."""

from sqlalchemy import CTE, ColumnElement, Select, select

from scheduler.messaging.models import Message


def in_order(*wanted: ColumnElement[bool]) -> Select[tuple[int]]:
    """Return, for an UPDATE, the numbers of the messages that are `wanted`, locked by number."""
    return select(_held(*wanted).c.id)


def _held(*wanted: ColumnElement[bool]) -> CTE:
    return select(Message.id).where(*wanted).order_by(Message.id).with_for_update().cte("held")
