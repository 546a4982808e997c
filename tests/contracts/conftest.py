"""CRMs that answer over HTTP, one for all tests of a module."""

import threading

import pytest
from werkzeug.serving import make_server

from crm_sync_service.desk.app import create_app
from tests.crm_sync_service.desk.client import desk_settings, fill


@pytest.fixture(scope="module")
def desk_url(tmp_path_factory):
    """The address of a bundled CRM with the demo's people."""
    home = tmp_path_factory.mktemp("desk")
    fill(f"sqlite:///{home}/crm.db")
    app = create_app(desk_settings(f"sqlite:///{home}/crm.db", home))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()
    app.extensions["desk"].database.dispose()
