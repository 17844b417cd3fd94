"""Networks of one recipe trained together; a member's result equals its solo run.

On CUDA every member has a stream and a captured graph of its own: a small network's kernels leave most of the device
idle, and those of several streams fill it. Stacking K networks into grouped convolutions would do the same in fewer
launches, but ties the members to equal shapes, to layers and optimisers that have a stacked form, and to kernels of
cuDNN that have been slower than streams (pytorch/pytorch issue 73764); ``benchmarks/gpu.py`` compares the three.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch

from transferlab.engine.batches import Place
from transferlab.engine.fit import Fitted, Member, lane_on, turn, turns
from transferlab.specs import Recipe


def fit_cohort(members: Sequence[Member], recipe: Recipe, place: Place) -> Iterator[tuple[int, Fitted | Exception]]:
    """Train the members in turns, none of which waits for the device.

    Yields:
        the number of each member that has ended, with its network, or with the error that ended it (its hooks' errors
        too); the others go on. A member that finds no memory beside others begins again when one of them has ended.
    """
    waiting, running = deque(range(len(members))), dict[int, Generator[None, None, Fitted]]()
    free, lanes = [lane_on(place) for _ in members], dict[int, Any]()
    full = False
    while waiting or running:
        if waiting and not full:
            number = waiting.popleft()
            running[number], lanes[number] = turns(members[number], recipe, place), free.pop()
        for number in list(running):
            ended = _turn(running[number], lanes[number], place)
            if ended is None:
                continue
            del running[number]
            free.append(lanes.pop(number))
            full = bool(running) and isinstance(ended, Exception) and _is_want_of_memory(ended)
            if full:
                ended = None  # its traceback holds what it had allocated
                waiting.append(number)
                torch.cuda.empty_cache()
                continue
            yield number, ended


def _turn(training: Generator[None, None, Fitted], lane: Any, place: Place) -> Fitted | Exception | None:
    try:
        return turn(training, lane, place)
    except Exception as error:  # noqa: BLE001  (it is the member's result)
        return error


def _is_want_of_memory(error: Exception) -> bool:
    """Out of memory, be it in the midst of a capture, whose end then fails as well."""
    return any(isinstance(found, torch.OutOfMemoryError) for found in (error, error.__context__))
