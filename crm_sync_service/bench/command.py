"""`casebridge bench sync`."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from crm_sync_service.bench.engine import BenchFailedError, Engine
from crm_sync_service.bench.free_crm import FreeCrm
from crm_sync_service.bench.measure import Pipeline, Throughput, beside_direct, numbers, throughput
from crm_sync_service.bench.tickets import fill
from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import Connector
from crm_sync_service.connectors.config import ConnectorConfig
from crm_sync_service.models import MIGRATIONS, open_database
from shared.broker import Broker
from shared.database import Database, opened

_FEW_LINKS = 1_000
_IDLE = 4.0
"""New tickets a second that leave the sync idle most of the time."""
_START_SECONDS = 60


@click.group()
def bench() -> None:
    """Measure this installation's parts on this machine."""


@bench.command()
@click.option("--database-url", help="PostgreSQL to measure on, in a schema made for it; else SQLite in a new folder.")
@click.option("--tickets", default=1_000, show_default=True, help="For each measurement.")
@click.option("--links", default=1_000_000, show_default=True, help="In the tables for the last measurement.")
@click.option("--threads", default=8, show_default=True, help="Calls at once, as SYNC_THREADS says.")
@click.option("--seconds", default=20.0, show_default=True, help="For each measurement of latency.")
@click.option("--json", "as_json", type=click.Path(dir_okay=False), help="Write the numbers to this file, too.")
def sync(
    *, database_url: str | None, tickets: int, links: int, threads: int, seconds: float, as_json: str | None
) -> None:
    """Deliveries a second, latency, memory and calls of the sync, beside the CRM alone and with many links."""
    console = Console(highlight=False, stderr=True)
    with tempfile.TemporaryDirectory(prefix="casebridge-bench-") as folder:
        place = _Place(folder=Path(folder), url=database_url, threads=threads)
        try:
            report = _measure(place, tickets=tickets, links=links, seconds=seconds, say=console.print)
        except BenchFailedError as error:
            raise click.ClickException(str(error)) from error
    _show(report)
    if as_json:
        Path(as_json).write_text(json.dumps(report, indent=2), encoding="utf-8")


class _Place:
    """Where it is measured: databases that are empty and gone afterwards."""

    def __init__(self, *, folder: Path, url: str | None, threads: int) -> None:
        self.folder, self.url, self.threads = folder, url, threads

    @contextmanager
    def engine(self, crm: Any) -> Iterator[Engine]:
        with self._database("sync") as database:
            database.upgrade()
            yield Engine(database=database, crm=crm, threads=self.threads)

    @contextmanager
    def _database(self, name: str) -> Iterator[Database]:
        if self.url is None:
            file = Path(tempfile.mkdtemp(dir=self.folder)) / f"{name}.db"
            with opened(open_database(f"sqlite:///{file}", pool_size=self.threads + 6)) as database:
                yield database
            return
        schema = f"bench_{secrets.token_hex(4)}"
        database = Database(_driver(self.url), schema=schema, migrations=MIGRATIONS, pool_size=self.threads + 6)
        try:
            yield database
        finally:
            with database.engine.begin() as connection:
                connection.execute(text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
            database.dispose()

    @contextmanager
    def pipeline(self, engine: Engine) -> Iterator[Pipeline]:
        broker = Broker(f"embedded:///{tempfile.mkdtemp(dir=self.folder)}/broker.db")
        with self._database("portal") as portal:
            if portal.is_postgresql:
                with portal.engine.begin() as connection:
                    connection.execute(text(f'CREATE SCHEMA "{portal.schema}"'))
            yield Pipeline(engine, portal=portal, broker=broker)

    @contextmanager
    def bundled_crm(self) -> Iterator[Connector]:
        """A bundled CRM of its own, over HTTP."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        key = secrets.token_urlsafe(32)
        home = Path(tempfile.mkdtemp(dir=self.folder))
        environment = {**os.environ, "CASEBRIDGE_HOME": str(home), "CRM_PORT": str(port), "CRM_API_KEY": key}
        environment |= {"CRM_DATABASE_URL": f"sqlite:///{home}/crm.db"}
        command = [sys.executable, "-m", "shared.cli"]
        subprocess.run([*command, "migrate"], env=environment, cwd=home, check=True, capture_output=True)
        process = subprocess.Popen([*command, "crm"], env=environment, cwd=home, stderr=subprocess.DEVNULL)
        try:
            _wait_for(f"http://127.0.0.1:{port}/readyz")
            config = ConnectorConfig(url=f"http://127.0.0.1:{port}", api_key=key, connections=self.threads + 4)
            connector, _ = open_connector("desk", config, None)
            yield connector
            connector.close()
        finally:
            process.terminate()
            process.wait()


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise BenchFailedError(f"the bundled CRM did not start within {_START_SECONDS} s")


def _measure(
    place: _Place, *, tickets: int, links: int, seconds: float, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    report: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        say("deliveries with a CRM that costs nothing")
        engine = stack.enter_context(place.engine(FreeCrm()))
        fill(engine.database, _FEW_LINKS, progress=lambda _: None)
        few = throughput(engine, tickets=tickets, first=1)
        report["free CRM, 1,000 links"] = numbers(few)
        with place.pipeline(engine) as pipeline:
            say("latency when idle and under load")
            idle = pipeline.latency(count=_count(seconds, _IDLE), per_second=_IDLE, first=2_000_000)
            rate = few.creates / 2
            load = pipeline.latency(count=_count(seconds, rate), per_second=rate, first=3_000_000)
        report["latency idle (ms)"], report["latency at half the rate (ms)"] = numbers(idle), numbers(load)
        say(f"the same with {links:,} links")
        fill(engine.database, links - _FEW_LINKS, progress=lambda _: None)
        many = throughput(engine, tickets=tickets, first=4_000_000)
        report[f"free CRM, {links:,} links"] = numbers(many)
        report["many links beside few"] = _ratios(many, few)
    with place.bundled_crm() as crm, place.engine(crm) as engine:
        say("beside the bundled CRM's own speed")
        both = beside_direct(engine, tickets=tickets // 2, first=1)
        report["bundled CRM over HTTP"] = {**numbers(both), "ratio": round(both.ratio, 2)}
        with place.pipeline(engine) as pipeline:
            latency = pipeline.latency(count=_count(seconds, _IDLE), per_second=_IDLE, first=2_000_000)
        report["latency idle, bundled CRM (ms)"] = numbers(latency)
    return report


def _count(seconds: float, per_second: float) -> int:
    return max(4, int(seconds * per_second))


def _ratios(many: Throughput, few: Throughput) -> dict[str, float]:
    pairs = {name: (getattr(many, name), getattr(few, name)) for name in ("creates", "updates", "burst")}
    return {name: round(one / other, 2) for name, (one, other) in pairs.items()}


def _show(report: dict[str, dict[str, float]]) -> None:
    console = Console(highlight=False)
    for title, values in report.items():
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in values.items():
            table.add_row(name.replace("_", " "), f"{value:,.2f}")
        console.print(table)
