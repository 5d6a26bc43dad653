"""Joins the rooms: the only module that imports the doors."""

from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from config import Config, Misconfigured
from scheduler import cli, web
from scheduler.accounts import models as _accounts  # noqa: F401  every table must be known
from scheduler.audit import models as _audit  # noqa: F401
from scheduler.booking import models as _booking  # noqa: F401
from scheduler.clinic import models as _clinic  # noqa: F401
from scheduler.core.db import close_quietly, db, prepare
from scheduler.core.sealed import keyring
from scheduler.messaging import models as _messaging  # noqa: F401
from scheduler.patients import models as _patients  # noqa: F401
from scheduler.tasks import models as _tasks  # noqa: F401
from scheduler.treatment import models as _treatment  # noqa: F401
from scheduler.waitlist import models as _waitlist  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent


def create_app(config: Config) -> Flask:
    """Build the app for one installation."""
    app = Flask(
        "scheduler",
        root_path=str(ROOT / "scheduler"),
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "scheduler" / "web" / "static"),
        instance_path=str(ROOT / "instance"),
    )
    app.extensions["emerge_config"] = config
    app.config.update(
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=_engine_options(config.database_url),
        MAX_CONTENT_LENGTH=256 * 1024,
        TEMPLATES_AUTO_RELOAD=False,
    )
    keyring.configure(config.keys)
    if config.database_url.startswith("sqlite:///"):
        _make_room_for(Path(config.database_url.removeprefix("sqlite:///")))
    db.init_app(app)
    app.teardown_appcontext(close_quietly)  # runs before the extension's own, which would raise
    with app.app_context():
        prepare(db.engine)
    web.join(app, config)
    cli.join(app)
    return app


def _make_room_for(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise Misconfigured(
            f"DATABASE_URL: no folder {file.parent} ({trouble.strerror})."
        ) from None


def _engine_options(url: str) -> dict[str, object]:
    """Parameters are names and numbers of patients: an error's text, and so the log, has none."""
    if sa.make_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 15}, "hide_parameters": True}
    return {"pool_pre_ping": True, "pool_size": 6, "max_overflow": 4, "hide_parameters": True}
