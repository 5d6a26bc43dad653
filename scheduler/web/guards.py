"""Who may come in. Every blueprint is given its guard where it is registered."""

from collections.abc import Callable

from flask import Blueprint
from flask.typing import ResponseReturnValue

Guard = Callable[[], ResponseReturnValue | None]


def protect(blueprint: Blueprint, guard: Guard) -> Blueprint:
    """Put `guard` before every view of `blueprint`, and write its name on it."""
    if getattr(blueprint, "guard", None) is None:
        blueprint.guard = guard.__name__  # type: ignore[attr-defined]
        blueprint.before_request(guard)
    return blueprint


def public() -> None:
    """Let anybody in."""


def signed_request() -> None:
    """Let the view in that judges the sender's signature itself, before it reads anything."""
