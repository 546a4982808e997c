"""The API answers as its description says, whatever it is sent: Schemathesis with every check on, over real HTTP.

The longer form is in docs/howto/api.md.
"""

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from portal_service.app import create_app
from portal_service.settings import PortalSettings
from tests.portal_service.api.calling import program_of

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"


@pytest.fixture
def app(settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
    """A portal whose tokens may call as often as they like."""
    app = create_app(dataclasses.replace(settings, api_calls_per_minute=1_000_000))
    yield app
    app.extensions["portal"].database.dispose()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The portal on a port of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/api/v1/openapi.json"
    server.shutdown()
    thread.join()
    server.server_close()


def test_whatever_is_sent_is_answered_as_described(app: Flask, address: str, tmp_path: Path) -> None:
    sam = program_of(app, "sam")
    number = program_of(app, "carol").file()
    options = ["--checks", "all", "--phases", "examples,fuzzing", "--max-examples", "2", "--no-color"]
    options += ["--generation-deterministic"]
    header = f"Authorization: Bearer {sam.token}"
    run = subprocess.run(
        [sys.executable, "-c", _RUN, "--config-file", _CONFIG, "run", address, *options, "-H", header],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
    assert sam.get(f"/tickets/{number}").status_code == 200, "the run has ended its own token"
