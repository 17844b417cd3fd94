"""The table of executors: which of them a run can use, by name."""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.runners.executor import ExecutorKind
from transferlab.runners.local import LOCAL

EXECUTORS = Table("executor", ExecutorKind, [LOCAL])
