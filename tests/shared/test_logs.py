"""Logs: one readable JSON line an event, without secrets."""

import json
import logging

import pytest
import structlog

from shared import logs
from shared.logs import configure_logs
from shared.settings import SettingsError


@pytest.fixture(autouse=True)
def _put_logging_back() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_says_when_where_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("portal")
    structlog.get_logger("x").info("ticket_submitted", ticket_id="7", tries=2)
    (line,) = lines(capsys)
    assert line["event"] == "ticket_submitted"
    assert line["service"] == "portal"
    assert line["level"] == "info"
    assert line["tries"] == 2
    assert str(line["ts"]).endswith("Z")


def test_libraries_log_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("crm")
    logging.getLogger("some.library").warning("took %d tries", 3)
    (line,) = lines(capsys)
    assert line["event"] == "took 3 tries"
    assert line["service"] == "crm"


def test_secrets_are_struck_out_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("portal")
    structlog.get_logger("x").info(
        "request",
        password="hunter2",
        headers={"Authorization": "Bearer abc", "cookies": ["crumbs"], "Host": "portal"},
        url="amqp://guest:sekret@broker/vhost",
        email="Carol@acme.example",
    )
    (line,) = lines(capsys)
    text = json.dumps(line)
    for secret in ("hunter2", "Bearer", "crumbs", "sekret", "acme.example"):
        assert secret not in text
    assert "amqp://guest:[redacted]@broker/vhost" in text
    assert "portal" in text


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(password: str) -> None:
        raise ValueError("cannot reach postgresql://me:sekret@host/db")

    configure_logs("portal")
    try:
        fail("hunter2")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "hunter2" not in text
    assert "sekret" not in text


def test_line_breaks_cannot_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("portal")
    structlog.get_logger("x").info("login", name='x"\n{"event": "forged"}')
    assert len(lines(capsys)) == 1


def test_a_wrong_level_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError, match="LOG_LEVEL"):
        configure_logs("portal")


def test_a_terminal_is_sent_no_control_characters() -> None:
    event = {"event": "hello", "path": "/a\x1b[2Jb\r\nforged \u2028line", "exception": "kept\nas it is"}
    shown = logs._only_visible(None, "info", event)
    assert shown["path"] == "/a\\x1b[2Jb\\r\\nforged \\u2028line"
    assert shown["exception"] == "kept\nas it is"
