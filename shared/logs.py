"""Logs: one JSON line an event, or readable lines when a person watches in a terminal.

Every line has `ts` (RFC 3339, UTC), `level`, `event` and `service`. Secrets never reach it: values are struck out by
the name of their key, passwords inside URLs by their shape, and mail addresses become a short hash.
"""

import hashlib
import logging
import os
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.clock import to_text
from shared.settings import SettingsError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_SECRET_KEY = re.compile(r"passw|secret|token|authorization|cookie|api_?key|csrf|signature", re.IGNORECASE)
_ADDRESS_KEYS = frozenset({"email", "address", "recipient", "sender", "username"})
_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_STRUCK_OUT = "[redacted]"


def configure_logs(service: str, *, default_level: str = "INFO") -> None:
    """Send everything this process logs, libraries included, to standard error. Raises SettingsError."""
    level = os.environ.get("LOG_LEVEL", default_level).upper()
    if level not in LEVELS:
        raise SettingsError(f"LOG_LEVEL={level!r} is not a level: give one of {', '.join(LEVELS)}")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _Stamp(service),
        redact,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers()))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for noisy in ("httpx", "httpcore", "amqp", "alembic.runtime", "mail.log", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderers() -> list[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if sys.stderr.isatty():
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return [strip, _time_for_people, _only_visible, plain]
    # Local variables hold passwords and people's texts.
    traceback = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return [strip, traceback, redact, structlog.processors.JSONRenderer(default=str)]


class _Stamp:
    """Says when, where and by which version an event was logged."""

    def __init__(self, service: str) -> None:
        self._fixed = {"service": service, "version": version("casebridge")}

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("ts", to_text(datetime.now(UTC)))
        for key, value in self._fixed.items():
            event.setdefault(key, value)
        return event


def _time_for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = event.pop("ts")[11:19]
    del event["version"]
    return event


def _only_visible(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A terminal obeys control characters: what a stranger sent must neither colour, erase nor forge a line."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = _CONTROL.sub(lambda found: repr(found[0])[1:-1], value)
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Strike out what must not be read in a log, at any depth."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _clean(str(inner), entry) for inner, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(key, entry) for entry in value]
    if _SECRET_KEY.search(key):
        return _STRUCK_OUT
    if not isinstance(value, str):
        return value
    if key in _ADDRESS_KEYS and value:
        return f"sha256:{hashlib.sha256(value.lower().encode()).hexdigest()[:12]}"
    return _URL_PASSWORD.sub(rf"\g<before>{_STRUCK_OUT}@", value)
