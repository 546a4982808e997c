"""`python -m tests.benchmarks.serve`: the portal's web process on a database made for the measurement, filled first.

Settings: BENCH_DSN (default: casebridge_bench_portal on 127.0.0.1:5432), whose database is made anew; BENCH_TICKETS;
BENCH_PORT; BENCH_HOME, a folder for files; those of the product, such as WEB_WORKERS, count too.
"""

import os
import sys
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from portal_service import site
from portal_service.base import open_database
from shared.clock import utc_now
from shared.database import opened
from shared.settings import CommonSettings
from tests.benchmarks.seed import seed

DEFAULT_DSN = "postgresql://postgres@127.0.0.1:5432/casebridge_bench_portal"


def main() -> None:
    environment = os.environ
    url = make_url(environment.get("BENCH_DSN", DEFAULT_DSN)).set(drivername="postgresql+psycopg")
    address = f"http://127.0.0.1:{environment.get('BENCH_PORT', '8394')}"
    home = Path(environment.get("BENCH_HOME") or tempfile.mkdtemp(prefix="casebridge-bench-"))
    (home / "metrics").mkdir(parents=True, exist_ok=True)
    (home / "portal.pid").write_text(str(os.getpid()))
    make_database(url)
    site.use(_common(home, address))
    with opened(open_database(url.render_as_string(hide_password=False))) as database:
        database.upgrade()
        with database.write() as session:
            seed(session, int(environment.get("BENCH_TICKETS", "10000")), now=utc_now())
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    environment.update(
        CASEBRIDGE_HOME=str(home),
        DATABASE_URL=url.render_as_string(hide_password=False),
        PORTAL_PORT=environment.get("BENCH_PORT", "8394"),
        PORTAL_URL=address,
        SECRET_KEY="x" * 40,
        PROMETHEUS_MULTIPROC_DIR=str(home / "metrics"),
    )
    casebridge = str(Path(sys.executable).with_name("casebridge"))
    os.execv(casebridge, [casebridge, "portal"])


def make_database(url: URL, *, only_drop: bool = False) -> None:
    """Make the measurement's database anew, or only remove it."""
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)'))
        if not only_drop:
            connection.execute(text(f'CREATE DATABASE "{url.database}"'))
    server.dispose()


def _common(home: Path, address: str) -> CommonSettings:
    return CommonSettings(
        home=home,
        broker_url="embedded:///unused",
        secret_key="x" * 40,
        portal_url=address,
        console_url=address,
        crm_url=address,
    )


if __name__ == "__main__":
    main()
