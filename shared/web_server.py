"""gunicorn, started by the commands themselves, so that a process is one command without a file of settings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environs import Env
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from shared import metrics
from shared.process import check_port
from shared.settings import SettingsError, port, whole_number

_GRACE_SECONDS = 5
_STUCK_SECONDS = 60
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 (gunicorn makes unnamed files of its own there)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How one web process listens."""

    host: str
    port: int
    port_setting: str
    workers: int
    threads: int


def read_server_settings(env: Env, port_setting: str, default_port: int) -> ServerSettings:
    """Raises SettingsError."""
    return ServerSettings(
        host=bind_address(env),
        port=port(env, port_setting, default_port),
        port_setting=port_setting,
        workers=whole_number(env, "WEB_WORKERS", default=1, least=1, most=64),
        threads=whole_number(env, "WEB_THREADS", default=8, least=1, most=256),
    )


def bind_address(env: Env) -> str:
    """The address this machine's servers listen on; only loopback unless BIND_ADDRESS opens it."""
    return env.str("BIND_ADDRESS", "127.0.0.1")


def serve(create_app: Callable[[], Flask], settings: ServerSettings) -> None:
    """Answer requests until SIGTERM or Ctrl+C. Each worker makes its own application, so none shares a connection.

    Raises PortTakenError and SettingsError before anything is started.
    """
    check_port(settings.host, settings.port, setting=settings.port_setting)
    if not metrics.prepare_multiprocess() and settings.workers > 1:
        raise SettingsError(
            f"WEB_WORKERS={settings.workers} needs PROMETHEUS_MULTIPROC_DIR, a folder of this process alone, "
            "or /metrics would count only the worker that happens to answer"
        )
    _Server(create_app, settings).run()


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    def __init__(self, create_app: Callable[[], Flask], settings: ServerSettings) -> None:
        self._create_app = create_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{settings.port}",
            "worker_class": "gthread",
            "workers": settings.workers,
            "threads": settings.threads,
            "timeout": _STUCK_SECONDS,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": 5,
            "worker_tmp_dir": str(_MEMORY_FOLDER) if _MEMORY_FOLDER.is_dir() else None,
            "logger_class": _PlainLogger,
            "forwarded_allow_ips": "",  # PROXIES says whom to believe
            "control_socket_disable": True,
            "child_exit": _forget_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._create_app()


class _PlainLogger(Logger):  # type: ignore[misc] # gunicorn ships no types
    """Lets gunicorn's messages take the way of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)


def _forget_worker(_server: object, worker: Any) -> None:
    metrics.forget_process(worker.pid)
