"""A desk on a database of its own, with clients for its API and its pages."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from crm_sync_service.desk import auth
from crm_sync_service.desk.base import open_database
from shared.database import opened
from tests.crm_sync_service.desk.client import KEY, Api, Visitor, desk_settings, fill, postgresql_database, served


@pytest.fixture(scope="session", autouse=True)
def quick_hashes():
    """Passwords of the tests are no secrets: hash them with the least effort."""
    with pytest.MonkeyPatch.context() as patch:
        quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        patch.setattr(auth, "_hasher", quick)
        auth.nobodys_hash.cache_clear()
        yield


@pytest.fixture(scope="session")
def filled_sqlite(tmp_path_factory):
    """A database file with the demo's people, to copy."""
    path = tmp_path_factory.mktemp("desk") / "crm.db"
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def own_postgresql():
    """Dropping a database is slow, so the tests share one and start over in it."""
    with postgresql_database() as url:
        yield url


@pytest.fixture
def database_url_of_copy(filled_sqlite, tmp_path):
    return f"sqlite:///{shutil.copy(filled_sqlite, tmp_path)}"


@pytest.fixture
def database_url(database_url_of_copy):
    return database_url_of_copy


@pytest.fixture
def url_of_backend(backend, request):
    """On both backends in turn, for modules that make it their `database_url`."""
    if backend == "sqlite":
        return request.getfixturevalue("database_url_of_copy")
    url = request.getfixturevalue("own_postgresql")
    fill(url)
    return url


@pytest.fixture
def settings(database_url, tmp_path):
    return desk_settings(database_url, tmp_path)


@pytest.fixture
def app(settings):
    with served(settings) as app:
        yield app


@pytest.fixture
def database(app):
    return app.extensions["desk"].database


@pytest.fixture
def api(app):
    return Api(app.test_client())


@pytest.fixture
def faulty_api(settings):
    """The API of a desk that fails when it is asked to."""
    with served(replace(settings, faults_enabled=True)) as app:
        yield Api(app.test_client())


@pytest.fixture
def crm_process(tmp_path):
    """The address of a desk that runs as in production: `casebridge crm`, with faults allowed."""
    port = free_port()
    environment = os.environ | {
        "CASEBRIDGE_HOME": str(tmp_path),
        "CRM_PORT": str(port),
        "CRM_API_KEY": KEY,
        "CRM_FAULTS": "1",
        "CRM_DATABASE_URL": f"sqlite:///{tmp_path}/crm.db",
    }
    with opened(open_database(environment["CRM_DATABASE_URL"])) as database:
        database.upgrade()
    command = [str(Path(sys.executable).with_name("casebridge")), "crm"]
    log = (tmp_path / "crm.log").open("wb")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            wait_until_answers(f"http://127.0.0.1:{port}/healthz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_answers(url, *, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url)
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer within {seconds} s")


@pytest.fixture
def anna(app):
    """An account manager who is logged in."""
    visitor = Visitor(app)
    assert visitor.log_in("anna").status_code == 303
    return visitor
