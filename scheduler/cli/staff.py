"""Staff: take on, new password, disable, list."""

import click
from flask.cli import AppGroup

from scheduler.accounts import queries as accounts
from scheduler.accounts import service
from scheduler.accounts.models import Role, Staff
from scheduler.clinic import places, roster
from scheduler.clinic import queries as clinic
from scheduler.clinic.models import ResourceKind
from scheduler.core import clock
from scheduler.core.db import transaction
from scheduler.core.errors import Refusal

group = AppGroup("staff", help="People who sign in at the desk.")
ACTOR = "operator"


class _Stop(click.ClickException):
    """A refusal, as one line of the terminal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)


_password = click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="At least 12 characters. Asked for when left out, which keeps it out of the history.",
)


@group.command("add")
@click.argument("username")
@click.option("--name", required=True, help='As colleagues read it: "Rosa Lima".')
@click.option("--title", default="", help='"RN", "MD", "Front desk".')
@click.option("--role", type=click.Choice([r.value for r in Role]), required=True)
@click.option("--site", required=True, help="Code of the site they mostly work at.")
@_password
def add(username: str, name: str, title: str, role: str, site: str, password: str) -> None:
    """Take on USERNAME."""
    try:
        with transaction():
            service.add_staff(
                username=username,
                name=name,
                title=title,
                role=Role(role),
                home_site_id=clinic.site_called(site).id,
                password=password,
                actor=ACTOR,
                now=clock.now(),
            )
    except Refusal as refusal:
        raise _Stop(refusal) from None
    click.echo(f"{username.strip().lower()} may sign in.")


@group.command("set-password")
@click.argument("username")
@_password
def set_password(username: str, password: str) -> None:
    """Give USERNAME a new password, and sign them out everywhere."""
    try:
        with transaction():
            service.set_password(_found(username), password, actor=ACTOR, now=clock.now())
    except Refusal as refusal:
        raise _Stop(refusal) from None
    click.echo("The password is set; they were signed out everywhere.")


@group.command("disable")
@click.argument("username")
def disable(username: str) -> None:
    """Stop USERNAME from signing in, and sign them out everywhere."""
    with transaction():
        service.disable(_found(username), actor=ACTOR, now=clock.now())
    click.echo("They cannot sign in any more.")


@group.command("enable")
@click.argument("username")
def enable(username: str) -> None:
    """Let USERNAME sign in again."""
    with transaction():
        service.enable(_found(username), actor=ACTOR, now=clock.now())
    click.echo("They may sign in.")


@group.command("person")
@click.argument("username")
@click.argument("name", required=False)
@click.option("--nobody", is_flag=True, help="They give no time to patients, or no more.")
def choose_person(username: str, name: str | None, nobody: bool) -> None:
    """Say that USERNAME is the person called NAME who works shifts."""
    if nobody is (name is not None):
        raise click.UsageError("Say who they are by name, or --nobody.")
    try:
        with transaction():
            staff, now = _found(username), clock.now()
            if name is not None:
                person = roster.person_called(name)
                service.choose_account(person, staff, seen=None, actor=ACTOR, now=now)
            elif staff.resource_id is not None:
                person = places.resource(staff.resource_id, ResourceKind.PERSON)
                service.choose_account(person, None, seen=None, actor=ACTOR, now=now)
    except Refusal as refusal:
        raise _Stop(refusal) from None
    click.echo(f"{username} is {name}." if name else f"{username} gives no time to patients.")


@group.command("list")
def show() -> None:
    """List everybody with their role, and who they are of those who work shifts."""
    people = {p.id: p.name for p in roster.people()}
    for staff in accounts.everybody():
        is_ = f"  = {people[staff.resource_id]}" if staff.resource_id in people else ""
        state = "" if staff.is_active else "  (disabled)"
        click.echo(f"{staff.username:<20} {staff.role.value:<12} {staff.name}{is_}{state}")


def _found(username: str) -> Staff:
    person = accounts.find_staff(username)
    if person is None:
        raise click.ClickException(f"Nobody signs in as {username}.")
    return person
