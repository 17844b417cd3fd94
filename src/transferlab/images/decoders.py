"""Processes that decode, one per core: images go in and pixels come out through pipes.

Threads share one interpreter, and small images spend half of their time in it: 105,000 images of 48 px took 27 s with
threads on two cores, one of them idle.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.boxes import classes_in, usable
from transferlab.images.decode import BadImage, decode, decode_whole, quiet
from transferlab.images.source import Box, Crop, Item, Objects, OnDisk, Unreadable, at_hand
from transferlab.images.survey import surveyed

KILLED = "killed by SIGKILL"


@dataclass(frozen=True, eq=False)
class Result:
    """The result of decoding some consecutive images.

    Args:
        pixels: buffers that make up uint8 [n_good, s, s, 3]; with objects, images of several sizes. Joining them would
            take time: 15.0 s instead of 14.5 for 8,000 images of 224 px.
        rows: a line of JSON for each good image: key, label, split, image id, hash and sums of its pixels; then the
            classes that are not scored, if any or with objects; with objects also stored and original size, and boxes.
        bad: key and reason of the other images, and of objects in good images that cannot be used.
        ranges: each range of values that ``modes.plain`` told of, and the key of the first such image.
    """

    pixels: Sequence[bytes | memoryview]
    rows: bytes
    bad: list[tuple[str, str]]
    ranges: dict[str, str] = field(default_factory=dict[str, str])


def merged(ranges: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The ``ranges`` of several results."""
    return {found: key for of_part in reversed(list(ranges)) for found, key in of_part.items()}


def decode_items(items: Sequence[Item], size_px: int, turn: FileLock) -> Result:
    """Decode some images in this process.

    Args:
        turn: a lock to hold while a very large image is decoded, so that one process at a time needs memory for one.
    """
    pixels: list[memoryview] = []
    rows: list[str] = []
    bad: list[tuple[str, str]] = []
    ranges: dict[str, str] = {}
    with quiet():
        for item in items:
            data = at_hand(item.data)
            label: str | tuple[str, ...] = item.label
            found: list[str] = []
            try:
                if item.objects is None:
                    image = decode(data, size_px, turn, item.crop, found.append)
                    more = [item.unscored] if item.unscored else []
                else:
                    image, size = decode_whole(data, size_px, item.objects, turn, found.append)
                    boxes, flaws = usable(item.objects, size)
                    bad += [(item.key, flaw) for flaw in flaws]
                    label, unscored = classes_in(boxes)
                    more = [unscored, [image.shape[:2], size, boxes]]
            except BadImage as error:
                bad.append((item.key, str(error)))
                continue
            for each in found:
                ranges.setdefault(each, item.key)
            image_id = int(digest(item.key, data), 16) >> 64
            pixels.append(np.ascontiguousarray(image).data.cast("B"))
            rows.append(json.dumps([item.key, label, item.split, image_id, *surveyed(image), *more]))
    return Result(pixels, "".join(f"{row}\n" for row in rows).encode(), bad, ranges)


class Decoders:
    """Processes that are started when needed; each is used by one thread at a time.

    Args:
        size_px: as for ``decode_items``.
        turn: the file of the lock for large images.
    """

    def __init__(self, size_px: int, turn: Path) -> None:
        self._command = [sys.executable, "-m", "transferlab.images.decoders", str(size_px), str(turn)]
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self.started: list[subprocess.Popen[bytes]] = []
        self.ends: list[str] = []  # how processes died

    def decode(self, items: Sequence[Item]) -> Result:
        """As ``decode_items``, in a free process or a new one.

        If the process dies, another one tries once more; if that dies too, each image is decoded by itself, and one that
        ends its process again is bad.

        Raises:
            UserError: the system killed them all.
        """
        for _ in range(2):
            if (result := self._try(items)) is not None:
                return result
        parts: list[Result] = []
        for item in items:
            result = self._try([item])
            if (
                result is None and self.ends[-1] == KILLED
            ):  # no fault of the image: the pack would depend on free memory
                raise UserError("the system killed the decoding process, three times", item.key,
                                "free some memory, then repeat the command; decoded images are kept")  # fmt: skip
            parts.append(result or Result([], b"", [(item.key, f"ends the decoding process ({self.ends[-1]})")]))
        return Result([p for part in parts for p in part.pixels], b"".join(part.rows for part in parts),
                      [each for part in parts for each in part.bad], merged(part.ranges for part in parts))  # fmt: skip

    def _try(self, items: Sequence[Item]) -> Result | None:
        """The result; or None if the process died, and ``ends`` says how."""
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = self._start()
        try:
            assert process.stdin and process.stdout
            _send(process.stdin, items)
            result = _receive_result(process.stdout)
        except (OSError, EOFError):
            code = process.wait()
            self.ends.append(f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}")
            return None
        self._idle.put(process)
        return result

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes; no thread may still be in ``decode``."""
        for process in self.started:
            with contextlib.suppress(BrokenPipeError):  # it has died, and what was sent last is still buffered
                process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # more threads only spin: 13.6 s instead of 13.3 for 8,000 photographs of 224 px
            start_new_session=True,  # Ctrl-C reaches only the parent; when it ends, in any way, their input ends
        )  # fmt: skip
        self.started.append(process)
        return process


def main(size_px: int, turn: Path) -> None:
    """Decode what standard input sends until it ends, and answer on standard output."""
    source, answers, lock = sys.stdin.buffer, sys.stdout.buffer, FileLock(turn)
    with contextlib.suppress(BrokenPipeError, EOFError), quiet():
        while items := _receive(source):
            result = decode_items(items, size_px, lock)
            facts = [sum(len(image) for image in result.pixels), len(result.rows), result.bad, result.ranges]
            answers.write(f"{json.dumps(facts)}\n".encode() + result.rows)
            answers.writelines(result.pixels)
            answers.flush()


def _send(pipe: IO[bytes], items: Sequence[Item]) -> None:
    """Send a line of JSON with everything but the contents, then the contents."""
    facts: list[list[Any]] = []
    contents: list[bytes] = []
    for item in items:
        held: list[Any]
        data = item.data
        if isinstance(data, bytes):
            held = [len(data)]
            contents.append(data)
        elif isinstance(data, OnDisk):
            held = [0, "file", str(data.path), data.n_bytes]
        elif isinstance(data, Unreadable):
            held = [0, "unreadable", data.reason]
        else:
            held = [data.nbytes, "array", data.dtype.str, data.shape]
            contents.append(data.tobytes())
        crop = item.crop and [*item.crop.corners, item.crop.of]
        annotated = item.objects and [item.objects.size, item.objects.boxes, item.objects.flaws, item.objects.reduced]
        facts.append([item.key, item.label, item.split, item.unscored, crop, annotated, *held])
    pipe.write(f"{json.dumps(facts)}\n".encode())
    pipe.writelines(contents)  # not joined: one content may be a quarter of a gigabyte
    pipe.flush()


def _receive(pipe: IO[bytes]) -> list[Item]:
    """What ``_send`` sent; nothing at the end of the pipe."""
    line = pipe.readline()
    items: list[Item] = []
    for key, label, split, unscored, crop, annotated, n_bytes, *kind in json.loads(line) if line else ():
        data = _data(_exactly(pipe, n_bytes), *kind)
        part = crop and Crop(*crop[:3], of=tuple(crop[3]))
        named = label if isinstance(label, str) else tuple(label)
        items.append(Item(key, data, named, split, tuple(unscored), part, annotated and _objects(*annotated)))
    return items


def _objects(size: tuple[int, int] | None, boxes: list[list[Any]], flaws: list[str], reduced: bool) -> Objects:
    return Objects(size and (size[0], size[1]), tuple(Box(*box) for box in boxes), tuple(flaws), reduced)


def _data(content: bytes, kind: str = "bytes", *facts: Any) -> Any:
    if kind == "bytes":
        return content
    if kind == "file":
        return OnDisk(Path(facts[0]), facts[1])
    if kind == "unreadable":
        return Unreadable(facts[0])
    return np.frombuffer(content, np.dtype(facts[0])).reshape(facts[1])


def _receive_result(pipe: IO[bytes]) -> Result:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    n_pixels, n_rows, bad, ranges = json.loads(line)
    rows = _exactly(pipe, n_rows)
    return Result([_exactly(pipe, n_pixels)], rows, [(key, reason) for key, reason in bad], ranges)


def _exactly(pipe: IO[bytes], n_bytes: int) -> bytes:
    content = pipe.read(n_bytes)
    if len(content) != n_bytes:
        raise EOFError
    return content


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main(int(sys.argv[1]), Path(sys.argv[2]))
