"""A broker of each kind, a proxy that misbehaves on request, real processes, and messages to send."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import kombu
import pika
import pytest
from sqlalchemy import Column, MetaData, Table, Text, Uuid, func, insert, select
from sqlalchemy.orm import Session

from shared.broker import Broker, Connection
from shared.clock import utc_now
from shared.consumer import handle_batch
from shared.database import Database
from shared.events import PORTAL_EVENTS, InternalNoteAdded, Message, Person, pack
from shared.inbox import Inbox
from shared.outbox import Outbox
from shared.topology import Topology
from tests.proxy import Proxy

RABBITMQ_URL = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")
PROGRAMS = Path(__file__).parent / "programs"


def note(body: str = "Li Wei 李伟 called") -> InternalNoteAdded:
    return InternalNoteAdded(
        ticket_id=uuid.uuid4(),
        note_id=uuid.uuid4(),
        position=1,
        author=Person(name="Nora Bakker"),
        body=body,
        attachments=(),
        created_at=utc_now(),
    )


@pytest.fixture
def new_event() -> Callable[..., InternalNoteAdded]:
    return note


@pytest.fixture
def new_messages() -> Callable[[int], list[Message]]:
    """Makes as many different messages for PORTAL_EVENTS as asked for."""
    return lambda count: [pack(note(f"note {i}"), source="portal", now=utc_now()) for i in range(count)]


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds; fails with what the condition last gave."""

    def wait(condition: Callable[[], Any], *, within: float = 15.0) -> None:
        deadline = time.monotonic() + within
        while not (result := condition()):
            assert time.monotonic() < deadline, f"still {result!r} after {within} s"
            time.sleep(0.02)

    return wait


class Service:
    """A database with outbox, inbox and a table of what was applied."""

    def __init__(self, open_database: Callable[[str, MetaData], Database], backend: str) -> None:
        metadata = MetaData()
        self.outbox = Outbox(metadata, source="portal")
        self.inbox = Inbox(metadata)
        self.applied = Table("applied", metadata, Column("note_id", Uuid), Column("body", Text))
        self.database = open_database(backend, metadata)

    def add(self, count: int) -> list[uuid.UUID]:
        """Put as many events into the outbox, in one transaction; returns their ids."""
        with self.database.write() as session:
            return [self.outbox.add(session, note(f"note {i}"), now=utc_now()) for i in range(count)]

    def waiting(self) -> int:
        with self.database.read() as session:
            return self.outbox.waiting(session)[0]

    def handle(self, messages: Sequence[Message]) -> None:
        handle_batch(self.database, self.inbox, messages, self.apply, now=utc_now())

    def apply(self, session: Session, event: Any) -> None:
        session.execute(insert(self.applied).values(note_id=event.note_id, body=event.body))

    def count(self, table: Table) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def service(open_database: Callable[[str, MetaData], Database], backend: str) -> Service:
    """On SQLite and on PostgreSQL in turn."""
    return Service(open_database, backend)


@pytest.fixture
def sqlite_service(open_database: Callable[[str, MetaData], Database]) -> Service:
    return Service(open_database, "sqlite")


@pytest.fixture
def embedded(tmp_path: Path) -> Broker:
    return Broker(f"embedded:///{tmp_path}/broker.db")


@pytest.fixture
def rabbit() -> Iterator[Broker]:
    """The RabbitMQ server with queues of this test's own."""
    broker = Broker(RABBITMQ_URL, topology=Topology(f"test-{uuid.uuid4().hex[:12]}"))
    yield broker
    witness = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    for queue, _ in broker.topology.queues():
        witness.channel().queue_delete(queue)
    witness.close()


@pytest.fixture(params=["embedded", pytest.param("rabbit", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Run the test once on each kind of broker."""
    broker: Broker = request.getfixturevalue(request.param)
    return broker


@pytest.fixture
def witness() -> Iterator[Any]:
    """A channel of an independent client on the RabbitMQ server."""
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    yield connection.channel()
    connection.close()


class Reader:
    """Reads a queue through kombu and keeps what it gets unacknowledged until told."""

    def __init__(self, broker: Broker, queue: str, prefetch: int) -> None:
        self.connection: Connection = broker.connect()
        self.got: list[Any] = []
        self._consumer = kombu.Consumer(
            self.connection.channel,
            [kombu.Queue(queue)],
            on_message=self._keep,
            prefetch_count=prefetch,
            auto_declare=False,
        )
        self._consumer.consume()

    def _keep(self, raw: Any) -> None:
        self.got.append(raw)

    def read(self, count: int, *, within: float = 15.0) -> list[Any]:
        """The next `count` messages."""
        deadline = time.monotonic() + within
        while len(self.got) < count and time.monotonic() < deadline:
            self.connection.wait(0.1)
        assert len(self.got) >= count, f"{len(self.got)} of {count} messages arrived within {within} s"
        taken, self.got = self.got[:count], self.got[count:]
        return taken

    def silent_for(self, seconds: float) -> bool:
        return not self.got and not self.connection.wait(seconds)


@pytest.fixture
def open_reader(broker: Broker) -> Iterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def open_(queue: str | None = None, *, prefetch: int = 50) -> Reader:
        readers.append(Reader(broker, queue or broker.topology.queue(PORTAL_EVENTS), prefetch))
        return readers[-1]

    yield open_
    for reader in readers:
        reader.connection.close()


class Running:
    """A thread that runs `loop(stop)`, stopped when the test ends."""

    def __init__(self, loop: Callable[[threading.Event], None]) -> None:
        self.stop_event = threading.Event()
        self._thread = threading.Thread(target=loop, args=(self.stop_event,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stop_event.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the loop did not stop within 20 s"


@pytest.fixture
def run_in_thread() -> Iterator[Callable[[Callable[[threading.Event], None]], Running]]:
    running: list[Running] = []

    def start(loop: Callable[[threading.Event], None]) -> Running:
        running.append(Running(loop))
        return running[-1]

    yield start
    for thread in running:
        thread.stop()


@pytest.fixture
def start_program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts tests/shared/programs/<name>.py as a process of its own; killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object, failpoints: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CASEBRIDGE_FAILPOINTS": failpoints},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class BrokerProxy(Proxy):
    """Stands between Casebridge and RabbitMQ."""

    def __init__(self) -> None:
        target = pika.URLParameters(RABBITMQ_URL)
        super().__init__(target.host, target.port)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"


@pytest.fixture
def proxy() -> Iterator[BrokerProxy]:
    proxy = BrokerProxy()
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(rabbit: Broker, proxy: BrokerProxy) -> Broker:
    """The same queues as `rabbit`, reached through `proxy`."""
    return Broker(proxy.url, topology=rabbit.topology)
