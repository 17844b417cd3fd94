"""Pixels on the device: a whole pack, uploaded once, or parts of one that a thread loads before they are used."""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARE = 0.5  # of the device's free memory that a pack may take; the rest is for activations
PIECE_BYTES = 2**28  # uploaded at once
AHEAD = 2  # parts that wait on the device to be used

_uploaded: dict[int, Tensor] = {}


def resident(images: NDArray[np.uint8]) -> Tensor | None:
    """The whole array on the CUDA device, uploaded once for all networks that read it.

    Returns:
        uint8, shaped like ``images``; None if it would take more than half of the free memory.
    """
    if id(images) not in _uploaded:
        if images.nbytes > SHARE * torch.cuda.mem_get_info()[0]:
            return None
        held = torch.empty(images.shape, dtype=torch.uint8, device="cuda")
        step = max(1, PIECE_BYTES // max(1, images[:1].nbytes))
        for start in range(0, len(images), step):
            held[start : start + step] = torch.from_numpy(np.array(images[start : start + step]))
        torch.cuda.current_stream().synchronize()  # other streams read it
        _uploaded[id(images)] = held
        weakref.finalize(images, _uploaded.pop, id(images), None)
    return _uploaded[id(images)]


def on_device(array: NDArray[Any], device: str) -> Tensor:
    """The array on the device; on CUDA it is copied from pinned memory, without waiting."""
    if device == "cpu":
        return torch.from_numpy(array)
    return torch.from_numpy(np.ascontiguousarray(array)).pin_memory().to(device, non_blocking=True)


class Streamed:
    """Rows of a mapped image array, part by part: a thread gathers them, a stream of its own copies them to the device.

    Args:
        images: uint8 [n, s, s, 3]. parts: the rows of each part, int [m]; the thread reads them a few parts ahead.
    """

    def __init__(self, images: NDArray[np.uint8], parts: Iterator[NDArray[np.integer[Any]]], device: str) -> None:
        self._images, self._parts, self._device = images, parts, device
        self._ready: queue.Queue[tuple[Tensor, Any] | BaseException] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pixels", daemon=True)
        self._thread.start()

    def next(self) -> Tensor:
        """The next part, uint8 [m, s, s, 3] on the device, for work on the current stream.

        Raises:
            BaseException: the error that ended the thread.
        """
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        part, copied = found
        if copied is not None:
            torch.cuda.current_stream().wait_event(copied)
            part.record_stream(torch.cuda.current_stream())  # its memory is not reused before that work is done
        return part

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait()
        self._thread.join()

    def _work(self) -> None:
        try:
            stream = torch.cuda.Stream() if self._device == "cuda" else None
            for rows in self._parts:
                if not self._put(self._copied(rows, stream)):
                    return
            self._put(RuntimeError("a part was asked for after the last one"))
        except BaseException as error:  # noqa: BLE001  (raised where the part is asked for)
            self._put(error)

    def _copied(self, rows: NDArray[np.integer[Any]], stream: Any) -> tuple[Tensor, Any]:
        shape = (len(rows), *self._images.shape[1:])
        held = torch.empty(shape, dtype=torch.uint8, pin_memory=stream is not None)
        np.take(self._images, rows, axis=0, out=held.numpy(), mode="clip")  # "raise" would gather into a copy first
        if stream is None:
            return held, None
        with torch.cuda.stream(stream):
            return held.to(self._device, non_blocking=True), stream.record_event()

    def _put(self, item: tuple[Tensor, Any] | BaseException) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=0.1)
                return True
        return False
