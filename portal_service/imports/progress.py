"""How far an import is: a bar on a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from portal_service.imports.source import Source
from portal_service.imports.tally import Tally

Show = Callable[[Tally], None]

_LINE_SECONDS = 5.0


@contextmanager
def progress(console: Console, source: Source) -> Iterator[Show]:
    """A function to call after each chunk."""
    meter = _Meter(source)
    if not console.is_terminal:
        yield _Lines(console, meter).show
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(compact=True),
        console=console,
    )
    with bar:
        task = bar.add_task("Importing", total=max(source.size, 1), words="")
        yield lambda tally: bar.update(task, completed=source.position(), words=meter.words(tally))


class _Meter:
    """Rows per second and the time that is left, by the part of the file that is read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = time.monotonic()

    def words(self, tally: Tally) -> str:
        rate = tally.rows / max(time.monotonic() - self._start, 0.001)
        return f"{tally.rows:,} rows, {rate:,.0f}/s, {tally.bad:,} bad"

    def seconds_left(self) -> float:
        part = max(self._source.position() / max(self._source.size, 1), 0.001)
        return (time.monotonic() - self._start) * (1 - part) / part


class _Lines:
    """For logs and pipes."""

    def __init__(self, console: Console, meter: _Meter) -> None:
        self._console = console
        self._meter = meter
        self._next = time.monotonic() + _LINE_SECONDS

    def show(self, tally: Tally) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LINE_SECONDS
        words = f"{self._meter.words(tally)}, about {self._meter.seconds_left():,.0f} s left"
        self._console.print(words, highlight=False, soft_wrap=True)
