"""Run the fault suite: many events, many kills, and a report of what was lost, doubled or different.

`python -m tests.faults.chaos --events 100000 --tickets 5000 --kills 50 --broker-kills 8` is the long form. Ends with 0
if nothing was found, else with 1; the report is printed and, with --json, written to a file.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.chaos.run import Report, Size, run


def main() -> int:
    asked = _parser().parse_args()
    size = Size(
        events=asked.events,
        tickets=asked.tickets,
        kills=asked.kills,
        broker_kills=asked.broker_kills,
        database_kills=asked.database_kills,
        seconds=asked.seconds or max(30.0, asked.events / 110),
        quiet_seconds=asked.quiet,
        outage=asked.outage,
        seed=asked.seed,
        servers=not asked.embedded,
    )
    console = Console(highlight=False)
    home = Path(asked.home or tempfile.mkdtemp(prefix="casebridge-chaos-"))
    home.mkdir(parents=True, exist_ok=True)
    console.print(f"in {home}")
    started = time.monotonic()
    report = run(size, home, say=lambda words: console.print(f"{time.monotonic() - started:6.1f} s  {words}"))
    _show(report, console)
    if asked.json:
        Path(asked.json).write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False), encoding="utf-8")
    return 1 if any(report.verdict.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="what people do, in events (%(default)s)")
    parser.add_argument("--tickets", type=int, default=1_000, help="(%(default)s)")
    parser.add_argument("--kills", type=int, default=10, help="kill -9 of each process (%(default)s)")
    parser.add_argument("--broker-kills", type=int, default=2, help="kill -9 of the broker (%(default)s)")
    parser.add_argument("--database-kills", type=int, default=1, help="kill -9 of PostgreSQL (%(default)s)")
    parser.add_argument("--seconds", type=float, help="in which all this happens (events / 110)")
    parser.add_argument("--quiet", type=float, default=60, help="seconds without a write at the end (%(default)s)")
    parser.add_argument("--outage", type=float, default=4, help="seconds without the CRM (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same timetable (%(default)s)")
    parser.add_argument("--embedded", action="store_true", help="on SQLite and the embedded broker")
    parser.add_argument("--home", help="keep logs and diaries in this folder")
    parser.add_argument("--json", help="write the report to this file, too")
    return parser


def _show(report: Report, console: Console) -> None:
    table = Table(show_header=False)
    for name, value in (
        ("events", f"{report.events:,} ({_words(report.deeds)})"),
        ("kill -9", _words(report.kills)),
        ("other faults", _words({name: n for name, n in report.faults.items() if not name.startswith("kill ")})),
        ("not possible here", _words(report.not_done) or "-"),
        ("waiting when faults ended", f"{report.backlog:,} tickets"),
        ("converged after", f"{report.converged} s, {report.allowed} s are allowed"),
        ("conflicts kept", f"{report.conflicts:,}"),
        *((kind, f"[{'red' if count else 'green'}]{count}[/]") for kind, count in report.verdict.items()),
        ("took", f"{report.took} s"),
    ):
        table.add_row(name, value)
    console.print(table)
    for words in report.findings.all()[:50]:
        console.print(f"[red]✗[/] {words}", markup=True)


def _words(counts: object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
