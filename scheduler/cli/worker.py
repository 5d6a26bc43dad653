"""`flask worker`: sends what is due, until it is told to stop."""

import click
from flask import current_app
from flask.cli import with_appcontext

from scheduler.jobs.runner import Worker


@click.command("worker", help="Send messages and keep the house in order, until stopped.")
@with_appcontext
def command() -> None:
    """Run one worker. Any number may run at once."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    Worker(app, app.extensions["emerge_config"]).run()
