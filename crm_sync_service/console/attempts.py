"""Doing what a visitor asked for, or saying why it makes no sense any more."""

from collections.abc import Callable

from flask import flash
from sqlalchemy.orm import Session

from crm_sync_service.console.context import console
from crm_sync_service.console.models import ConsoleAction
from crm_sync_service.decisions import DecisionError


def attempt(act: Callable[[Session], ConsoleAction]) -> ConsoleAction | None:
    """Do it in one transaction; None if it is refused, and the visitor reads why."""
    try:
        with console().database.write() as db:
            return act(db)
    except DecisionError as error:
        flash(str(error), "warn")
        return None
