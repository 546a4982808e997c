"""The portal with its demo data, and programs that call its API."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.portal_service.api.calling import Program, program_of
from tests.portal_service.web.conftest import app, database, demo_file, png, settings, visitors

__all__ = ["app", "database", "demo_file", "png", "settings", "visitors"]


@pytest.fixture
def program(app: Flask) -> Callable[..., Program]:
    """Opens a program that acts for somebody by user name, by default with every scope that person can give."""

    def open_(username: str, *scopes: str) -> Program:
        return program_of(app, username, *scopes)

    return open_


@pytest.fixture
def carol(app: Flask) -> Program:
    """A program of a customer of Acme."""
    return program_of(app, "carol")


@pytest.fixture
def dave(app: Flask) -> Program:
    """A program of a customer of another company."""
    return program_of(app, "dave")


@pytest.fixture
def sam(app: Flask) -> Program:
    """A program of a support agent."""
    return program_of(app, "sam")


@pytest.fixture
def nobody(app: Flask) -> Program:
    """A program without a token."""
    return Program(app, None)
