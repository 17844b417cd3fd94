"""A worker process: reads tasks as lines from standard input and writes events to standard output.

Started by ``runners.local`` as ``python -m transferlab.runners.worker``. The first line is its ``Setup``. On SIGTERM it
saves the current training, says that it has left, and exits.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from transferlab.errors import UserError
from transferlab.events import Event, Halted, Left, from_line, to_line
from transferlab.extensions import load_installed, require_definitions, run_file
from transferlab.outcomes.store import Store
from transferlab.runners.do import do_task
from transferlab.runners.local import Setup
from transferlab.runners.networks import Bench
from transferlab.runners.plans import plan_of
from transferlab.tasks import Task


def work(setup: Setup, lines: Iterable[str], emit: Callable[[Event], None]) -> bool:
    """Do the tasks, one a line, until the lines end, SIGTERM comes, or a UserError that concerns every task occurs.

    Returns whether SIGTERM came.
    """
    torch.set_num_threads(setup.n_threads)
    try:
        load_installed()
        if setup.study_file is not None:
            run_file(Path(setup.study_file))
        store = Store.open(Path(setup.store), create=False, locks=setup.locks)
        plan = plan_of(store, setup.study)
        require_definitions(plan.brought)
        bench = Bench(plan, store, setup.checkpoint_seconds)

        def stop(*_: object) -> None:
            bench.stopping = True

        signal.signal(signal.SIGTERM, stop)
        for line in lines:
            if not bench.stopping:
                do_task(from_line(line, {"Task": Task}), bench, emit)
            if bench.stopping:
                return True
    except UserError as error:
        emit(Halted(error.what, error.where, error.remedy))
    return False


def main() -> None:
    """Take lines from standard input; whatever else prints goes to standard error, so that events stay whole lines."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def emit(event: Event) -> None:
        events.write(to_line(event))
        events.flush()

    if work(from_line(sys.stdin.readline(), {"Setup": Setup}), sys.stdin, emit):
        emit(Left())


if __name__ == "__main__":
    main()
