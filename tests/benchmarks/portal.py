"""`make bench-portal`: Casebridge's portal beside django-helpdesk, in turns in one run, on one PostgreSQL.

The measuring program, peer_portal.py, is not part of this project: it installs django-helpdesk and drives both sides.
Added here: how much memory each of our web workers took at most.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.benchmarks.serve import DEFAULT_DSN, make_database

ROOT = Path(__file__).resolve().parent.parent.parent
DESCRIPTION = Path(__file__).with_name("portal.json")
PROGRAM = ROOT.parent / "shared" / "bench" / "peer_portal.py"
_FIRST = 1020
"""Number of a ticket that the seed made; the demo's own come before it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="peer_portal.py (default %(default)s)")
    parser.add_argument("--tickets", type=int, default=10_000, help="on each side, 30 to 50000 (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench-portal.json"), help="default %(default)s")
    arguments, others = parser.parse_known_args()
    if not arguments.program.is_file():
        print(
            f"bench-portal: the measuring program is missing: there is no {arguments.program}. It is not part of this "
            'project; say where it is: make bench-portal ARGS="--program /path/to/peer_portal.py"',
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="casebridge-bench-") as folder:
        status, memory = measure(Path(folder), arguments.program, arguments.tickets, arguments.out, others)
    if arguments.out.is_file() and status in {0, 3}:
        report = json.loads(arguments.out.read_text())
        report["casebridge_worker_mib"] = memory
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")
        print(f"memory of each Casebridge web worker at its peak, MiB: {', '.join(map(str, memory))}")
    return status


def measure(folder: Path, program: Path, tickets: int, out: Path, others: list[str]) -> tuple[int, list[float]]:
    """The exit status of the program, and the greatest resident size of each of our workers in MiB."""
    description = folder / "portal.json"
    description.write_text(json.dumps(described(tickets)))
    command = [sys.executable, str(program), "--other", str(description), "--tickets", str(tickets), "--out", str(out)]
    if "--workdir" not in others:
        others = [*others, "--workdir", str(folder / "peer")]
    environment = {**os.environ, "BENCH_TICKETS": str(tickets), "BENCH_HOME": str(folder / "home")}
    peaks: dict[int, float] = {}
    try:
        with subprocess.Popen([*command, *others], env=environment) as running:
            while running.poll() is None:
                time.sleep(1)
                peaks |= worker_peaks(folder / "home" / "portal.pid")
    finally:
        make_database(make_url(DEFAULT_DSN).set(drivername="postgresql+psycopg"), only_drop=True)
    return running.returncode, sorted(peaks.values(), reverse=True)


def described(tickets: int) -> dict[str, object]:
    """Our description for this many tickets, with folders that hold wherever it is stored."""
    found: dict[str, object] = json.loads(
        DESCRIPTION.read_text()
        .replace('"cwd": "../.."', f'"cwd": {json.dumps(str(ROOT))}')
        .replace('".venv/bin/python"', json.dumps(sys.executable))
        .replace("[1020, 11000]", f"[{_FIRST}, {1000 + tickets}]")
    )
    return found


def worker_peaks(pid_file: Path) -> dict[int, float]:
    """The greatest resident size so far, in MiB, of each child of the process that the file names."""
    try:
        parent = pid_file.read_text().strip()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return {int(pid): peak for pid in children if (peak := _peak(pid)) is not None}
    except OSError:
        return {}


def _peak(pid: str) -> float | None:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return None


if __name__ == "__main__":
    sys.exit(main())
