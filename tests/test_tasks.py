"""Which task may start: what it needs is done, nobody works on its networks, and no failure holds up another."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as some

from transferlab.tasks import RunState, Task, next_tasks, open_tasks


def plan(cohorts: Sequence[int], n_untrained: int = 0, n_cells: int = 2) -> list[Task]:
    """Tasks like a plan's: cohorts of so many networks, each network with so many cells; then untrained ones."""
    tasks: list[Task] = []
    for i, size in enumerate(cohorts):
        group = tuple(f"n{i}.{j}" for j in range(size))
        tasks.append(Task("train", group, group))
        tasks += [Task("measure", (n,), tuple(f"{n}:{c}" for c in range(n_cells)), (n,)) for n in group]
    return tasks + [Task("measure", (f"u{i}",), (f"u{i}:0",)) for i in range(n_untrained)]


A, B = "n0.0", "n1.0"


def names(tasks: Sequence[Task]) -> list[str]:
    return [f"{task.kind} {' '.join(task.cells)}" for task in tasks]


def test_trainings_start_in_order_and_a_trained_network_is_measured_before_others_are_trained() -> None:
    tasks = plan([1, 1, 1], n_cells=1)
    assert names(next_tasks(tasks, RunState(), 2)) == [f"train {A}", f"train {B}"]
    at = RunState(done={B}, running={A})
    assert names(next_tasks(tasks, at, 9)) == [f"measure {B}:0", "train n2.0"]
    assert names(next_tasks(tasks, at, 1)) == [f"measure {B}:0"]
    assert next_tasks(tasks, at, 0) == []


def test_what_is_done_is_not_given_again_and_the_rest_of_a_task_is() -> None:
    tasks = plan([2], n_cells=3)
    at = RunState(done={A, "n0.1", f"{A}:1"}, failed={f"{A}:0"}, running={"n0.1"})
    assert names(next_tasks(tasks, at, 9)) == [f"measure {A}:2"]
    at.done.update(f"{A}:{c}" for c in range(3))
    assert next_tasks(tasks, at, 9) == []


def test_a_network_whose_training_failed_is_never_measured_and_others_are() -> None:
    assert names(next_tasks(plan([1, 1], 1), RunState(failed={A}), 9)) == [f"train {B}", "measure u0:0"]


def test_what_another_process_holds_waits_and_the_rest_of_its_cohort_does_not() -> None:
    assert names(next_tasks(plan([3]), RunState(busy={"n0.1"}), 9)) == ["train n0.0 n0.2"]
    assert names(next_tasks(plan([1], 1), RunState(done={A}, busy={A}), 9)) == ["measure u0:0"]


def test_after_a_crash_the_networks_of_a_cohort_are_trained_one_by_one() -> None:
    tasks, at = plan([3, 1]), RunState(alone={"n0.0", "n0.1", "n0.2"})
    assert names(next_tasks(tasks, at, 1)) == ["train n0.0"]
    at.done.add("n0.0")
    at.running.add("n0.1")
    assert names(next_tasks(tasks, at, 9)) == ["measure n0.0:0 n0.0:1", "train n0.2", "train n1.0"]


class Passes(list[Task]):
    """A list that counts how many items were looked at."""

    n_seen = 0

    def __iter__(self) -> Iterator[Task]:
        for task in super().__iter__():
            self.n_seen += 1
            yield task


def test_each_task_is_looked_at_once_at_most_and_none_after_enough_are_found() -> None:
    many = Passes(plan([1] * 1000))
    assert len(next_tasks(many, RunState(), 8)) == 8
    assert many.n_seen == len(many)
    many.n_seen = 0
    trained = {task.cells[0] for task in plan([1] * 1000) if task.kind == "train"}
    assert len(next_tasks(many, RunState(done=trained), 8)) == 8
    assert many.n_seen <= 17


@given(some.lists(some.integers(1, 4), max_size=6), some.integers(0, 3), some.integers(1, 5), some.randoms(),
       some.sampled_from([0.0, 0.3, 1.0]))  # fmt: skip
def test_a_run_ends_with_every_cell_tried_once_whatever_fails(
    cohorts: list[int], n_untrained: int, n_workers: int, chance: random.Random, share_failing: float
) -> None:
    """Failures, crashes of cohorts and networks that are held elsewhere for a while, in any order."""
    tasks, at, running = plan(cohorts, n_untrained), RunState(), list[Task]()
    tried: Counter[str] = Counter()
    crashed: set[tuple[str, ...]] = set()
    while True:
        for task in next_tasks(open_tasks(tasks, at), at, n_workers - len(running)):
            assert at.done.issuperset(task.needs)
            assert at.running.isdisjoint(task.networks)
            at.running.update(task.networks)
            running.append(task)
        if not running:
            if not at.busy:
                break
            at.busy.clear()
            continue
        task = running.pop(chance.randrange(len(running)))
        at.running.difference_update(task.networks)
        if chance.random() < share_failing / 3 and task.networks not in crashed:  # once held by another process
            crashed.add(task.networks)
            at.busy.update(task.networks)
        elif len(task.networks) > 1 and chance.random() < share_failing:
            at.alone.update(task.networks)
        else:
            for cell in task.cells:
                tried[cell] += 1
                (at.failed if chance.random() < share_failing else at.done).add(cell)
    assert set(tried.values()) <= {1}
    possible = {cell for task in tasks for cell in task.cells if at.done.issuperset(task.needs)}
    assert set(tried) == possible
    if not share_failing:
        assert at.done == {cell for task in tasks for cell in task.cells}


def test_open_tasks_are_those_with_cells_that_are_neither_done_nor_failed() -> None:
    tasks = plan([2], 1)
    done, failed = {"n0.0", "n0.0:0"}, {"n0.1", "n0.0:1"}
    assert open_tasks(tasks, RunState(done, failed)) == tasks[2:]
