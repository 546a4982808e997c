"""RabbitMQ and PostgreSQL for the tests: those that run already, else private ones in a temporary folder."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import psycopg

from deploy.system_programs import postgres_folder, rabbitmq_server

HOST = "127.0.0.1"
_START_SECONDS = 90.0


class ServerFailedError(Exception):
    """A server that is installed does not start; the text has its own words."""


@contextmanager
def postgres_url() -> Iterator[str]:
    """Raises ServerFailedError."""
    url = os.environ.get("TEST_POSTGRES_URL", f"postgresql+psycopg://postgres@{HOST}:5432/postgres")
    if _postgres_answers(url):
        yield url
        return
    with private_postgres() as server:
        yield server.url


@contextmanager
def private_postgres(folder: Path | None = None) -> Iterator["PrivatePostgreSQL"]:
    """A PostgreSQL of our own on a free port, in an empty folder that is gone afterwards unless it was given.

    Raises ServerFailedError.
    """
    with _folder("postgres") if folder is None else nullcontext(folder) as place:
        server = PrivatePostgreSQL(place)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def rabbitmq_url() -> Iterator[str]:
    """Raises ServerFailedError."""
    url = os.environ.get("TEST_RABBITMQ_URL", f"amqp://guest:guest@{HOST}:5672/%2F")
    if _rabbitmq_answers(url):
        yield url
        return
    with private_rabbitmq() as port:
        yield f"amqp://guest:guest@{HOST}:{port}/%2F"


@contextmanager
def private_rabbitmq(
    command: Sequence[str] = (), *, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[int]:
    """A RabbitMQ of our own on a free port, which is yielded; `command` starts it in another way than its own script.

    Raises ServerFailedError.
    """
    with private_rabbitmq_server(command, settings=settings) as server:
        yield server.port


@contextmanager
def private_rabbitmq_server(
    command: Sequence[str] = (), *, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator["PrivateRabbitMQ"]:
    """As `private_rabbitmq`, for whoever wants to kill it and start it again. Raises ServerFailedError."""
    with _folder("rabbitmq") as folder:
        server = PrivateRabbitMQ(folder, command=command, settings=settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()
            _end_epmd(server.epmd_port)


class PrivateRabbitMQ:
    """One node with its own name, ports and folder; what it stored survives its being killed."""

    def __init__(self, folder: Path, *, command: Sequence[str] = (), settings: Mapping[str, str]) -> None:
        self.port, self.epmd_port = _free_port(), _free_port()
        self.url = f"amqp://guest:guest@{HOST}:{self.port}/%2F"
        self._command = [*command] or [str(rabbitmq_server())]
        self._environment = {
            **_rabbitmq_environment(folder, port=self.port, epmd_port=self.epmd_port),
            **settings,
        }
        self._folder = folder
        self._log = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Raises ServerFailedError."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers. Raises ServerFailedError."""
        _wait_until(lambda: _speaks_amqp(self.port), alive=self.is_running, log=self._log)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9 the node with all its helpers."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class PrivatePostgreSQL:
    """One cluster in a folder of its own; what was committed survives its being killed."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.url = f"postgresql+psycopg://postgres@{HOST}:{self.port}/postgres"
        self._folder = folder
        self._log = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Raises ServerFailedError."""
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        options = ["-D", f"{self._folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        _finish([*_as_user("postgres"), f"{postgres_folder()}/initdb", *options])

    def start(self, *, wait: bool = True) -> None:
        """Raises ServerFailedError."""
        options = ["-p", str(self.port), "-k", str(self._folder), "-c", f"listen_addresses={HOST}"]
        with self._log.open("ab") as output:
            # Our own child, so that a killed one is buried: its successor asks whether that process is still there.
            self._process = subprocess.Popen(
                [f"{postgres_folder()}/postgres", "-D", f"{self._folder}/data", *options, "-c", "max_connections=200"],
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
                **_owned_by("postgres"),
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers. Raises ServerFailedError."""
        _wait_until(lambda: _postgres_answers(self.url), alive=self.is_running, log=self._log)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9 the server and every process it started."""
        if self._process is None or self._process.poll() is not None:
            return
        family = [self._process.pid, *_children(self._process.pid)]
        for member in family:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Without a goodbye to its clients."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []


def _end_epmd(port: int) -> None:
    """It refuses to end until it has noticed that its node is gone."""
    for _ in range(50):
        if subprocess.run(["epmd", "-port", str(port), "-kill"], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)


def _rabbitmq_environment(folder: Path, *, port: int, epmd_port: int) -> dict[str, str]:
    (folder / "enabled_plugins").write_text("[].\n", encoding="ascii")
    (folder / "rabbitmq.conf").touch()
    return {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"casebridge-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        # Else the machine's own files decide.
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": HOST,
    }


def _speaks_amqp(port: int) -> bool:
    """Whether a broker answers the protocol's greeting."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url.replace("+psycopg", ""), connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def _rabbitmq_answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=parts.username,
        password=parts.password,
        virtual_host=unquote(parts.path.removeprefix("/")) or "/",
        connect_timeout=2,
    )
    try:
        connection.connect()
        connection.close()
    except (OSError, amqp.AMQPError):
        return False
    return True


def _wait_until(condition: Callable[[], bool], *, alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if not alive() or time.monotonic() > deadline:
            raise ServerFailedError(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _finish(command: Sequence[str]) -> None:
    # Not captured through a pipe: pg_ctl's server would keep it open for ever.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
        if result.returncode != 0:
            output.seek(0)
            raise ServerFailedError(f"`{' '.join(command)}` failed:\n{output.read()[-2000:]}")


@contextmanager
def _folder(owner: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"casebridge-{owner}-"))
    try:
        if os.geteuid() == 0 and owner == "postgres":
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(name: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", name, "--"] if os.geteuid() == 0 else []


def _owned_by(name: str) -> dict[str, Any]:
    """The same for subprocess.Popen."""
    return {"user": name, "group": name, "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
