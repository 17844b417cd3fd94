"""Pixels streamed by a thread: every part in order, errors where the part is asked for, a thread that ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from transferlab.engine.pixels import Streamed

IMAGES = np.arange(50 * 4 * 4 * 3, dtype=np.uint8).reshape(50, 4, 4, 3)


def test_parts_come_in_order_and_nothing_comes_behind_the_last() -> None:
    parts = [np.random.default_rng(i).integers(0, 50, 7 + i) for i in range(9)]
    streamed = Streamed(IMAGES, iter(parts), "cpu")
    for rows in parts:
        assert (streamed.next().numpy() == IMAGES[rows]).all()
    with pytest.raises(RuntimeError, match="after the last"):
        streamed.next()
    streamed.close()


def test_an_error_of_the_thread_is_raised_where_the_part_is_asked_for() -> None:
    def parts() -> Iterator[np.ndarray]:
        yield np.arange(3)
        raise OSError("gone")

    streamed = Streamed(IMAGES, parts(), "cpu")
    streamed.next()
    with pytest.raises(OSError, match="gone"):
        streamed.next()
    streamed.close()


def test_closing_ends_a_thread_that_waits() -> None:
    before = threading.active_count()
    streamed = Streamed(IMAGES, iter([np.arange(3)] * 100), "cpu")
    streamed.next()
    streamed.close()
    assert threading.active_count() == before
