"""One worker process: does the tasks that come as lines on standard input, and tells events on standard output.

Started by ``runners.local`` as ``python -m transferlab.runners.worker``. The first line is its ``Setup``. SIGTERM makes
it save the training at hand and leave.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from transferlab.errors import UserError
from transferlab.events import Event, Halted, from_line, to_line
from transferlab.extensions import load_installed, must_be_here, run_file
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, restored
from transferlab.runners.do import do_task
from transferlab.runners.local import Setup
from transferlab.runners.networks import Bench
from transferlab.tasks import Task


def work(setup: Setup, lines: Iterable[str], tell: Callable[[Event], None]) -> None:
    """Do task after task, one a line; what every task would meet as the user's error ends it."""
    torch.set_num_threads(setup.n_threads)
    try:
        load_installed()
        if setup.study_file is not None:
            run_file(Path(setup.study_file))
        store = Store.open(Path(setup.store), create=False, locks=setup.locks)
        plan = restored(store.studies()[setup.study])
        if not isinstance(plan, Plan):
            raise TypeError(f"{setup.study} is not a plan")
        must_be_here(plan.brought)
        bench = Bench(plan, store, setup.checkpoint_seconds)

        def stop(*_: object) -> None:
            bench.stopping = True

        signal.signal(signal.SIGTERM, stop)
        for line in lines:
            if not bench.stopping:
                do_task(from_line(line, {"Task": Task}), bench, tell)
            if bench.stopping:
                break
    except UserError as error:
        tell(Halted(error.what, error.where, error.remedy))


def main() -> None:
    """Take lines from standard input; whatever else prints goes to standard error, so that events stay whole lines."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(event: Event) -> None:
        events.write(to_line(event))
        events.flush()

    work(from_line(sys.stdin.readline(), {"Setup": Setup}), sys.stdin, tell)


if __name__ == "__main__":
    main()
