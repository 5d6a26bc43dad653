"""Flask-Login over our own session table: who is at the other end of this request."""

from dataclasses import dataclass
from typing import Any, cast

import flask_login
from flask import Flask, request
from flask_login import LoginManager, UserMixin

from scheduler.accounts import queries as accounts
from scheduler.accounts.queries import OpenSession
from scheduler.accounts.rules import Act, may
from scheduler.core import clock

#: A page that refreshes itself says so; that is no use of the session by a person.
POLL_HEADER = "X-Poll"


@dataclass(frozen=True, slots=True)
class SignedIn(UserMixin):
    """A member of staff at a browser. `token` is the secret their cookie holds."""

    session: OpenSession
    token: str

    def get_id(self) -> str:
        """Return what Flask-Login keeps in the cookie."""
        return self.token

    @property
    def id(self) -> int:
        """Their number."""
        return self.session.staff_id

    @property
    def actor(self) -> str:
        """How the record names them."""
        return f"staff:{self.session.staff_id}"

    @property
    def name(self) -> str:
        """Their name."""
        return self.session.name

    @property
    def home_site_id(self) -> int:
        """Where they mostly work."""
        return self.session.home_site_id

    def may(self, act: str) -> bool:
        """Say whether their role gives them the right."""
        return may(self.session.role, Act(act))


def somebody() -> SignedIn | None:
    """Return who is signed in, or None."""
    user: Any = flask_login.current_user
    return cast(SignedIn, user._get_current_object()) if user.is_authenticated else None


def me() -> SignedIn:
    """Return who is signed in, behind a guard that made sure somebody is."""
    found = somebody()
    if found is None:
        raise RuntimeError("a view without its guard asked who is signed in")
    return found


def is_poll() -> bool:
    """Say whether this request was made by the page itself."""
    return POLL_HEADER in request.headers


def join(app: Flask) -> None:
    """Let requests know who sends them."""
    manager = LoginManager(app)
    manager.session_protection = None  # type: ignore[assignment]  # our table says when a session ends

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> SignedIn | None:
        session = accounts.find_session(token, now=clock.now())
        return SignedIn(session, token) if session else None

    @app.context_processor
    def who() -> dict[str, object]:
        return {"somebody": somebody}
