"""Commands about the console."""

import click
from sqlalchemy.orm import Session

from crm_sync_service.console.actions import log_action
from crm_sync_service.console.auth import PasswordError, add_user, end_all, find_user, new_hash
from crm_sync_service.console.models import ConsoleUser
from crm_sync_service.console.rights import ROLES
from crm_sync_service.models import open_database
from crm_sync_service.settings import read_settings
from shared.clock import utc_now
from shared.database import opened


@click.command("console-user")
@click.argument("username")
@click.option("--name", help="As it is shown in the log of actions; needed for somebody new.")
@click.option("--role", type=click.Choice(list(ROLES)), help="What this person may do.")
@click.option("--password", help="At least 12 characters; asked for if it is not given and somebody is new.")
@click.option("--change", "do", flag_value="change", help="Change name, role or password of somebody known.")
@click.option("--remove", "do", flag_value="remove", help="Let this person in no more; what he did stays in the log.")
def console_user_command(
    username: str, name: str | None, role: str | None, password: str | None, do: str | None
) -> None:
    """Let somebody log in to the sync console, change role or password, or let nobody in under a name any more.

    Whoever is changed is logged out everywhere.
    """
    with opened(open_database(read_settings().database_url)) as database:
        database.check()
        if do is None:
            if name is None or role is None:
                raise click.UsageError("Somebody new needs --name and --role.")
            password = password or click.prompt("Password", hide_input=True, confirmation_prompt=True)
        with database.write() as session:
            click.echo(_carry_out(session, username, password, name=name, role=role, do=do))


def _carry_out(
    session: Session, username: str, password: str | None, *, name: str | None, role: str | None, do: str | None
) -> str:
    """Do it in one transaction; returns what was done."""
    user = find_user(session, username)
    if do is None:
        if user is not None:
            raise click.ClickException(
                f"There is a console user {username!r} already: choose another name, or give --change or --remove."
            )
        _add(session, username, password or "", name=name or username, role=role or "viewer")
        return f"{username} may log in to the console as {role}"
    if user is None:
        raise click.ClickException(f"There is no console user {username!r}.")
    if do == "remove":
        end_all(session, user)
        session.delete(user)
        log_action(session, "removed user", username, who="command line", now=utc_now())
        return f"{username} can no longer log in to the console"
    return _change(session, user, password, name=name, role=role)


def _change(session: Session, user: ConsoleUser, password: str | None, *, name: str | None, role: str | None) -> str:
    changed = [what for what, value in (("name", name), ("role", role), ("password", password)) if value]
    if not changed:
        raise click.ClickException("Say what to change: --name, --role or --password.")
    try:
        user.password_hash = new_hash(password) if password else user.password_hash
    except PasswordError as error:
        raise click.ClickException(str(error)) from error
    user.name, user.role = name or user.name, role or user.role
    end_all(session, user)
    log_action(session, "changed user", f"{user.username}: {', '.join(changed)}", who="command line", now=utc_now())
    return f"{user.username} is changed: {', '.join(changed)}; role {user.role}"


def _add(session: Session, username: str, password: str, *, name: str, role: str) -> None:
    try:
        add_user(session, username, password, name=name, role=role)
    except PasswordError as error:
        raise click.ClickException(str(error)) from error
    log_action(session, "added user", f"{username} as {role}", who="command line", now=utc_now())
