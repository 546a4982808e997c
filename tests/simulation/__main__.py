"""Run the simulation by hand: one seed with all that happens, or as many as there is time for.

`python -m tests.simulation 4711 --trace` and `python -m tests.simulation --seeds 1000000`. A seed that fails
is added to seeds.txt, which every test run replays first.
"""

import argparse
import sys

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from tests.simulation.coverage import table_of
from tests.simulation.mistakes import MISTAKES
from tests.simulation.run import Result, keep, simulate_many, simulate_with


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="run this one")
    parser.add_argument("--trace", action="store_true", help="print every step of it")
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="run N seeds (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="begin with this one")
    parser.add_argument("--jobs", type=int, metavar="N", help="in N processes; as many as there are cores by default")
    parser.add_argument("--mistake", choices=sorted(MISTAKES), help="with this mistake planted")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _one(asked.seed, trace=asked.trace, mistake=asked.mistake)
    return _many(range(asked.first, asked.first + asked.seeds), jobs=asked.jobs, mistake=asked.mistake)


def _one(seed: int, *, trace: bool, mistake: str | None) -> int:
    result = simulate_with(mistake, seed, trace=print if trace else None)
    print(result.explain() or f"seed {seed}: no violation; {result.calls} CRM calls, {result.faults} faults")
    return 1 if result.violations else 0


def _many(seeds: range, *, jobs: int | None, mistake: str | None) -> int:
    failed: list[Result] = []
    kinds: list[frozenset[str]] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for result in simulate_many(seeds, mistake=mistake, jobs=jobs):
            progress.advance(task)
            kinds.append(result.kinds)
            if result.violations:
                failed.append(result)
                progress.console.print(result.explain())
                if mistake is None:
                    keep(result.seed)
    Console().print(table_of(kinds, seeds=len(seeds)))
    print(f"{len(failed)} of {len(seeds)} seeds failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
