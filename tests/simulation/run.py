"""Run schedules, with or without a mistake planted, and keep the seeds that failed."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.checks import check
from tests.simulation.coverage import coverage
from tests.simulation.in_memory import in_memory, quiet_engine
from tests.simulation.mistakes import planted
from tests.simulation.quiet import EngineFaultError
from tests.simulation.sql import SqlWorld
from tests.simulation.world import ROUNDS, Trace, World

KEPT = Path(__file__).parent / "seeds.txt"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a schedule ended."""

    seed: int
    violations: tuple[str, ...]
    calls: int
    """Of the CRM, without those of the change feed."""
    changes: int
    faults: int
    kinds: frozenset[str]
    """What occurred in it, see coverage.py."""

    def explain(self) -> str:
        """What was violated and how to see it happen; empty if nothing was."""
        if not self.violations:
            return ""
        words = "\n  ".join(self.violations)
        return f"seed {self.seed}:\n  {words}\n  replay with: python -m tests.simulation {self.seed} --trace"


def simulate(seed: int, *, trace: Trace | None = None) -> Result:
    """Run one schedule to the first round with a violation, or to its end."""
    with in_memory():
        return _run(World(seed, trace=trace), seed)


def simulate_on_sql(seed: int, path: Path, *, trace: Trace | None = None) -> Result:
    """The same with the sync service's tables in a new SQLite file."""
    world = SqlWorld(seed, path=path, trace=trace)
    try:
        return _run(world, seed)
    finally:
        world.sync_database.dispose()


def _run(world: World, seed: int) -> Result:
    with quiet_engine(world.rng), world.bus.running():
        _play(world)
        kinds = coverage(world)
    return Result(
        seed=seed,
        violations=tuple(world.history.violations),
        calls=world.crm.calls_made - world.crm.feed_calls,
        changes=world.history.changes,
        faults=world.faults,
        kinds=kinds,
    )


def simulate_with(mistake: str | None, seed: int, *, trace: Trace | None = None) -> Result:
    with planted(mistake) if mistake else nullcontext():
        return simulate(seed, trace=trace)


def simulate_many(seeds: Sequence[int], *, mistake: str | None = None, jobs: int | None = None) -> Iterator[Result]:
    """Run schedules in as many processes as there are cores, or in `jobs`; in no order."""
    # Started anew, not forked: the test run that asks for them may have threads.
    with get_context("spawn").Pool(jobs, initializer=_without_collector) as pool:
        yield from pool.imap_unordered(partial(_alone, mistake), seeds, chunksize=20)


def _without_collector() -> None:
    """Garbage is collected between two schedules: a seventh of their time went there."""
    gc.freeze()
    gc.disable()


def _alone(mistake: str | None, seed: int) -> Result:
    result = simulate_with(mistake, seed)
    gc.collect()
    return result


def _play(world: World) -> None:
    try:
        for length in ROUNDS:
            world.round(length)
            if not world.history.violations:
                world.settle()
                check(world)
            if world.history.violations:
                return
    except EngineFaultError as error:
        world.history.violated("engine", repr(error.__context__ or error))


def kept() -> list[int]:
    """Seeds that once failed, or that find a mistake once made."""
    lines = (line.split("#")[0].strip() for line in KEPT.read_text().splitlines())
    return [int(line) for line in lines if line]


def keep(seed: int) -> None:
    if seed not in kept():
        with KEPT.open("a") as file:
            file.write(f"{seed}\n")
