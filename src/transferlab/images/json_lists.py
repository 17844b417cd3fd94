"""Lists in a large JSON file, entry by entry: what is held in memory at a time is one entry, of bounded size."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from transferlab.errors import UserError
from transferlab.images.bounded import opened

MAX_BYTES = 1 << 32  # of a file; COCO's largest has 470 MB, LVIS's 1.1 GB
MAX_ENTRY = 1 << 22  # characters of one entry, whose lists take up to 20 times as many bytes
MOST_ENTRIES = 8_000_000  # of one list; 100 detections in each of COCO's test images are 4 million
MOST_KEYS = 1000  # at the top
CHUNK = 1 << 20  # characters read at once
T = TypeVar("T")
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(eq=False)
class Lists:
    """The lists at the top of a JSON file, which is a dictionary of them or one list, named "".

    Polygons and masks, most of COCO's bytes, are dropped from entries. Entries nest as deep as Python's parser follows.

    Args:
        counts: number of entries of each list met by ``entries``.
        others: names of what is no list.
    """

    path: Path
    where: str
    counts: dict[str, int] = field(default_factory=dict[str, int])
    others: list[str] = field(default_factory=list[str])

    def entries(self) -> Iterator[tuple[str, int, Any]]:
        """List, number from 0 and value of each entry, in the order of the file.

        Raises:
            UserError: no ordinary file, not JSON in UTF-8, a key repeated, beyond the limits of this module.
        """
        try:
            with (
                opened(self.path, MAX_BYTES, self.where) as file,
                io.TextIOWrapper(file, "utf-8-sig", newline="") as text,
            ):
                yield from self._all(_Text(text))
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.path} is not text in UTF-8", self.where, "a JSON file was expected: get it again"
            ) from error
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}", self.where, "check the disk") from error
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{self.path} is not JSON: {error}", self.where, "copy the whole file, or get it again"
            ) from error

    def _all(self, text: _Text) -> Iterator[tuple[str, int, Any]]:
        first = text.next()
        if first == "[":
            yield from self._list("", text)
        elif first == "{":
            for key in text.parts("}", self._key):
                if text.next() == "[":
                    yield from self._list(key, text)
                else:
                    text.value()
                    self.others.append(key)
        else:
            text.value()
        if text.next():
            raise text.wrong("something after its end")

    def _key(self, text: _Text) -> str:
        key = text.value()
        if not isinstance(key, str):
            raise text.wrong(f"the key {key!r} is no text")
        if key in self.counts or key in self.others:
            raise text.wrong(f"the key {key[:40]!r} occurs twice")
        if len(self.counts) + len(self.others) >= MOST_KEYS:
            raise text.wrong(f"it has more than {MOST_KEYS:,} keys")
        text.take(":")
        return key

    def _list(self, name: str, text: _Text) -> Iterator[tuple[str, int, Any]]:
        self.counts[name] = 0
        for value in text.parts("]", _Text.value):
            if self.counts[name] >= MOST_ENTRIES:
                raise text.wrong(f"its list {name!r} has more than {MOST_ENTRIES:,} entries")
            self.counts[name] += 1
            yield name, self.counts[name] - 1, value


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise json.JSONDecodeError(f"the key {twice[:40]!r} occurs twice in one entry", "", 0)
    found.pop("segmentation", None)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_plain)


class _Text:
    """A text of which a part is in memory, and a place in it."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file, self._held, self._at, self._before, self._ended = file, "", 0, 0, False

    def next(self) -> str:
        """The next character that is no blank, which stays; "" at the end."""
        while True:
            match = _SPACE.match(self._held, self._at)
            assert match, "it may be empty"
            self._at = match.end()
            if self._at < len(self._held) or self._ended:
                return self._held[self._at : self._at + 1]
            self._more()

    def take(self, sign: str) -> None:
        """Pass over this character; raises ValueError if it is another."""
        if (found := self.next()) != sign:
            raise self.wrong(f"{found!r} in place of {sign!r}" if found else "it ends too early")
        self._at += 1

    def parts(self, end: str, read: Callable[[_Text], T]) -> Iterator[T]:
        """What lies between an opening sign, which is next, and ``end``, with commas between."""
        self.take(self.next())
        if self.next() != end:
            yield read(self)
            while self.next() == ",":
                self._at += 1
                yield read(self)
        self.take(end)

    def value(self) -> Any:
        """The value that follows; raises ValueError if none does, or if it is too long."""
        self.next()
        while True:
            wrong = None
            try:
                found, end = _DECODER.raw_decode(self._held, self._at)
                if self._ended or end + 2 < len(self._held):  # else a number might go on, as in 1.5e-3
                    self._at = end
                    return found
            except json.JSONDecodeError as error:
                wrong = error
            if len(self._held) - self._at > MAX_ENTRY and not self._ended:
                reason = f"{wrong.msg}, or " if wrong else ""
                raise self.wrong(f"{reason}an entry has more than {MAX_ENTRY:,} characters") from wrong
            if wrong and self._ended:
                raise self.wrong(wrong.msg, max(wrong.pos - self._at, 0)) from wrong
            self._more()

    def wrong(self, what: str, further: int = 0) -> ValueError:
        """An error at this place, or so many characters further."""
        return ValueError(f"{what} (at character {self._before + self._at + further:,})")

    def _more(self) -> None:
        left = self._held[self._at :]
        read = self._file.read(max(CHUNK, len(left)))
        self._before += self._at
        self._held, self._at, self._ended = left + read, 0, not read
