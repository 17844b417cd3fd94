"""Networks of one recipe trained together; each member's result equals that of training it alone.

On CUDA every member has its own stream and captured graph: the kernels of one small network leave most of the device
idle, and those of several streams fill it. Stacking K networks into grouped convolutions would need fewer launches, but
would require equal shapes, layers and optimisers that have a stacked form, and cuDNN kernels that have been slower than
streams (pytorch/pytorch issue 73764). ``benchmarks/gpu.py`` compares the three.
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
        the number of each member that has ended, with its network or with the error that ended it (errors of its hooks
        included); the others continue. A member that runs out of memory beside others starts again when one has ended.
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
            full = bool(running) and isinstance(ended, Exception) and _is_out_of_memory(ended)
            if full:
                ended = None  # its traceback keeps its memory allocated
                waiting.append(number)
                torch.cuda.empty_cache()
                continue
            yield number, ended


def _turn(training: Generator[None, None, Fitted], lane: Any, place: Place) -> Fitted | Exception | None:
    try:
        return turn(training, lane, place)
    except Exception as error:  # noqa: BLE001  (it is the member's result)
        return error


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, perhaps during a capture, whose end then fails as well."""
    return any(isinstance(found, torch.OutOfMemoryError) for found in (error, error.__context__))
