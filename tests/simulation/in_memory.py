"""Puts the tables in memory into the place of the product's, and silences what it logs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from crm_sync_service import change_feed, gate, inbox, runner, worker
from shared import consumer
from tests.simulation import memory_lanes, memory_orders
from tests.simulation.memory import (
    Activity,
    CrmState,
    Cursor,
    MemoryInbox,
    MemoryOutbox,
    MemoryStore,
    keep_replies,
    keep_states,
    load_each,
    make_state,
    mark_changed,
    tell,
)
from tests.simulation.quiet import EngineFaultError, Quiet


class _Log(Quiet):
    def exception(self, event: str, **_: Any) -> None:
        raise EngineFaultError(event)


@contextmanager
def quiet_engine(rng: Random) -> Iterator[None]:
    """The engine draws its jitter from the seed, and what it would log as a surprise ends the simulation."""
    log = _Log()
    with patch.object(runner, "log", log), patch.object(worker, "log", log), patch.object(runner, "_jitter", rng):
        yield


def _nothing(*_: Any, **__: Any) -> int:
    return 0


def _patches() -> Mapping[Any, Mapping[str, Any]]:
    return {
        runner: {
            "lanes": memory_lanes,
            "load_each": load_each,
            "tell": tell,
            "group_commit": _nothing,
            "LaneStore": MemoryStore,
            "Activity": Activity,
        },
        inbox: {
            "mark_each_due": memory_lanes.mark_each_due,
            "_keep_states": keep_states,
            "_keep_replies": keep_replies,
        },
        **memory_orders.patches(),
        change_feed: {"_mark": mark_changed, "Cursor": Cursor},
        gate: {"outbox": MemoryOutbox(), "CrmState": CrmState, "_make": make_state},
        worker: {
            "inbox": MemoryInbox(),
            "poll_directory": _nothing,
            "poll_notes": _nothing,
            "loop_lease": SimpleNamespace(take=lambda *_, **__: True, give_up=_nothing),
        },
        consumer: {"unpack": lambda message: message.event},
    }


@contextmanager
def in_memory() -> Iterator[None]:
    """Inside, the product's code keeps its tables in memory."""
    with ExitStack() as stack:
        for module, values in _patches().items():
            stack.enter_context(patch.multiple(module, **values))
        yield
