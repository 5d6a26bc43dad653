"""Doors for an operator: `flask ...`."""

from flask import Flask

from scheduler.cli import (
    demo,
    keys,
    offers,
    people,
    protocols,
    rehearse,
    schema,
    staff,
    supply,
    up,
    worker,
)


def join(app: Flask) -> None:
    """Give the app its commands."""
    app.cli.add_command(demo.reset_command)
    app.cli.add_command(keys.group)
    app.cli.add_command(offers.offers_command)
    app.cli.add_command(offers.times)
    app.cli.add_command(people.group)
    app.cli.add_command(protocols.group)
    app.cli.add_command(rehearse.command)
    app.cli.add_command(schema.group)
    app.cli.add_command(staff.group)
    app.cli.add_command(supply.group)
    app.cli.add_command(up.up_command)
    app.cli.add_command(worker.command)
