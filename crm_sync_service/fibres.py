"""Many runs in one thread: each gives way while a call to the CRM, or the commit of what it did, is under way.

A run is ordinary code in a greenlet of its own. Calls are made by a few threads. What runs want to have committed is
collected until each of them has come as far as it can; then one transaction takes all of it. So no timer delays
anything, a lone run commits at once, and the busier a worker is the more runs share a transaction.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

Item = TypeVar("Item")
P = ParamSpec("P")
R = TypeVar("R")

Commit = Callable[[Sequence[Item]], Sequence[Exception | None]]
"""Stores a group; what became of each item, None if it is stored. Raising means that nobody knows."""

_Job = Callable[[], None]
_WEIGHT = 0.1
"""Of one call in what calls usually take."""


class OutcomeUnknownError(Exception):
    """The commit died of something that ends the process: what was to be stored may be, or not."""


class _Fibre(greenlet):  # type: ignore[misc] # greenlet ships no types
    """One run."""


class Fibres(Generic[Item]):
    """The runs of one thread. Only `ring` is for other threads."""

    def __init__(self, commit: Commit[Item]) -> None:
        self._commit = commit
        self._items: list[tuple[_Fibre, Item]] = []
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._answers: deque[tuple[str, float, Callable[[], object]]] = deque()
        self._news = threading.Event()
        self.running = 0
        """Runs that have begun and not ended."""
        self.asked = 0
        """Calls that wait or are under way."""
        self._usual: dict[str, float] = {}
        """Seconds that calls take of late, by name; those asked for the first time are not known to end."""

    @contextmanager
    def open(self, calls: int) -> Iterator[None]:
        """Inside, so many calls may be under way at once; at the end every run is finished."""
        threads = [threading.Thread(target=self._make_calls, name=f"call-{i}") for i in range(calls)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            try:
                while self.running:
                    self.turn(1.0)
            finally:
                for _ in threads:
                    self._jobs.put(None)
                for thread in threads:
                    thread.join()

    def start(self, run: Callable[[], None]) -> None:
        """Run until it gives way for the first time, or ends."""
        self.running += 1
        _Fibre(partial(self._run, run)).switch()

    def turn(self, patience: float) -> None:
        """Let every run come as far as it can and commit; if there is nothing to do, wait for `patience` seconds."""
        idle = not self._answers and not self._items
        if idle:
            self._news.wait(patience)
        self._news.clear()
        while self._answers:
            self.asked -= 1
            name, seconds, resume = self._answers.popleft()
            usual = self._usual[name]
            self._usual[name] = seconds if usual == inf else usual + _WEIGHT * (seconds - usual)
            resume()
        if self._items:
            self._commit_all()

    @property
    def usual(self) -> float:
        """Seconds that the slowest kind of call takes of late; infinite if that is not known."""
        return max(self._usual.values(), default=inf)

    def ring(self) -> None:
        """End the wait of `turn`."""
        self._news.set()

    def do(self, item: Item) -> None:
        """Return when the item is stored; raises what kept it from that. Outside of a run it is stored alone."""
        fibre = _current()
        if fibre is None:
            [error] = self._commit([item])
            if error is not None:
                raise error
            return
        self._items.append((fibre, item))
        fibre.parent.switch()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Its result; other runs go on meanwhile. Outside of a run it is simply called."""
        fibre = _current()
        if fibre is None:
            return function(*args, **kwargs)
        self.asked += 1
        name = function.__name__
        self._usual.setdefault(name, inf)
        job = partial(copy_context().run, partial(function, *args, **kwargs))
        self._jobs.put(partial(self._answer, fibre, name, job))
        answer: R = fibre.parent.switch()
        return answer

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        finally:
            self.running -= 1

    def _make_calls(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _answer(self, fibre: _Fibre, name: str, call: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            resume = partial(fibre.switch, call())
        except BaseException as error:  # noqa: BLE001 (raised again in the run that asked)
            resume = partial(fibre.throw, error)
        self._answers.append((name, time.monotonic() - began, resume))
        self._news.set()

    def _commit_all(self) -> None:
        group, self._items = self._items, []
        errors: Sequence[Exception | None] = [OutcomeUnknownError()] * len(group)
        try:
            errors = self._commit([item for _, item in group])
        finally:
            for (fibre, _), error in zip(group, errors, strict=True):
                if error is None:
                    fibre.switch()
                else:
                    fibre.throw(error)


def _current() -> _Fibre | None:
    current = getcurrent()
    return current if isinstance(current, _Fibre) else None


class GivingWay:
    """A connector whose calls let other runs go on."""

    _HERE = frozenset({"normalise", "rewind", "hinted", "close"})
    """These ask nobody."""

    def __init__(self, inner: Any, call: Callable[..., Any]) -> None:
        self._inner, self._call = inner, call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._call, found) if callable(found) and name not in self._HERE else found
