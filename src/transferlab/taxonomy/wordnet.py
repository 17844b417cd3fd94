"""The nouns of WordNet 3.0 and what lies above them, from a table in this folder; no download, no other library.

The table has 82,115 synsets, each with its words and its hypernyms (pointers ``@``; instance pointers ``@i`` do not
count, rule 2). A wnid is "n" with the eight-digit offset in WordNet's data.noun. A synset is called after its first
word in lower case and that word's sense number, "dog.n.01", and hypernyms are kept in the order of these names by code
point (rule 3): neither the order in the file nor that of any library counts.

Layout: a first line, a line of JSON ``[[column, compressed bytes], …]``, then the columns, each compressed by zlib:
steps between offsets and parents' rows in four planes of bytes, parents and senses a byte each, words as ASCII text.
``tools/build_wordnet.py`` makes it. What lies above ImageNet's classes takes 28 ms of CPU from there on (26 to 35), the
first word looked up 99 ms more (91 to 120; n = 15, a busy machine, 2026-11-27).
"""

from __future__ import annotations

import difflib
import json
import re
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.taxonomy.tree import Taxonomy

ENTITY = "n00001740"  # above every noun that has a hypernym
FILE = Path(__file__).with_name("wordnet.table")
FIRST_LINE = b"transferlab WordNet 3.0 nouns"
WNID = re.compile(r"n[0-9]{8}")
NAME = re.compile(r"(.+)\.n\.([0-9]{1,2})")
MOST_SENSES = 12  # listed in an error


@dataclass(frozen=True, eq=False)
class Table:
    """The columns, a row for each of n synsets in the order of offsets.

    Args:
        offsets: n ascending ones; a list, since single ones are looked up (a third of the time of arrays).
        parents: rows of all synsets' hypernyms one after another. borders: n + 1 places in it, where each begins.
        senses: the sense number of each word, a byte each. words: ASCII, a line a synset, words divided by commas.
    """

    offsets: list[int]
    parents: list[int]
    borders: list[int]
    senses: bytes
    words: bytes

    @cached_property
    def lines(self) -> list[bytes]:
        """The words of each synset, divided by commas."""
        return self.words.split(b"\n")

    @cached_property
    def first_word(self) -> NDArray[np.int64]:
        """int64 [n], where each synset's words begin in ``senses``."""
        text = np.frombuffer(self.words, np.uint8)
        ends = np.flatnonzero((text == ord(",")) | (text == ord("\n")))
        return np.concatenate([[0], np.searchsorted(ends, np.flatnonzero(text == ord("\n"))) + 1])

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Each lemma in lower case to its places among all words."""
        found: dict[str, list[int]] = {}
        for place, word in enumerate(self.words.decode().lower().replace("\n", ",").split(",")):
            found.setdefault(word, []).append(place)
        return found


@cache
def table() -> Table:
    """The table, read once.

    Raises:
        UserError: the package is not whole.
    """
    try:
        first, sizes, rest = FILE.read_bytes().split(b"\n", 2)
        if first != FIRST_LINE:
            raise ValueError("another first line")
        columns: dict[str, bytes] = {}
        for name, n_bytes in cast("list[tuple[str, int]]", json.loads(sizes)):
            columns[name], rest = zlib.decompress(rest[:n_bytes]), rest[n_bytes:]
        borders = np.concatenate([[0], np.cumsum(np.frombuffer(columns["n_parents"], np.uint8), dtype=np.int64)])
        offsets = np.cumsum(_numbers(columns["offsets"]), dtype=np.int64)
        above = _numbers(columns["parents"])
        return Table(offsets.tolist(), above.tolist(), borders.tolist(), columns["senses"], columns["words"])
    except (OSError, ValueError, KeyError, zlib.error) as error:
        raise UserError(f"WordNet's table cannot be read ({error})", str(FILE), "install transferlab again") from error


def _numbers(planes: bytes) -> NDArray[np.uint32]:
    return np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(4, -1).T).view("<u4").ravel()


def known(wnid: str) -> bool:
    """Whether this is a noun synset of WordNet 3.0."""
    return _row(wnid) is not None


def parents(wnid: str) -> tuple[str, ...]:
    """The wnids of a synset's hypernyms, the one that chains follow first.

    Raises:
        UserError: no such synset.
    """
    held, row = table(), _must_have(wnid)
    return tuple(_wnid(above) for above in held.parents[held.borders[row] : held.borders[row + 1]])


def upwards(wnids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """These synsets and all above them along any path, each with its hypernyms.

    Raises:
        UserError: no such synset.
    """
    found: dict[str, tuple[str, ...]] = {}
    waiting = list(wnids)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = parents(node)
            waiting += found[node]
    return found


def lemmas(wnid: str) -> tuple[str, ...]:
    """A synset's words, blanks as blanks: ("goldfish", "Carassius auratus").

    Raises:
        UserError: no such synset.
    """
    return tuple(table().lines[_must_have(wnid)].decode().replace("_", " ").split(","))


def name(wnid: str) -> str:
    """A synset's name: "dog.n.01".

    Raises:
        UserError: no such synset.
    """
    held, row = table(), _must_have(wnid)
    first = held.lines[row].split(b",", 1)[0].decode().lower()
    return f"{first}.n.{held.senses[held.first_word[row]]:02d}"


def senses(lemma: str) -> tuple[str, ...]:
    """The wnids of a word's senses in WordNet's order; none where no noun is called so. Case does not count."""
    held = table()
    places = sorted(held.places.get(_plain(lemma), []), key=lambda place: held.senses[place])
    rows = np.searchsorted(held.first_word, places, side="right") - 1
    return tuple(dict.fromkeys(_wnid(int(row)) for row in rows))


def find(text: str) -> str:
    """The wnid of a synset that is named by wnid ("n02084071"), by name ("dog.n.01") or by a word of one sense.

    Raises:
        UserError: there is none, with near matches; or there are several, with each.
    """
    if WNID.fullmatch(text):
        _must_have(text)
        return text
    named = NAME.fullmatch(text)
    word = named[1] if named else text
    found = senses(word)
    if named and 1 <= int(named[2]) <= len(found):
        return found[int(named[2]) - 1]
    if not found:
        near = ", ".join(_near(_plain(word)))
        hint = f"did you mean {near}" if near else "name a noun, a synset like dog.n.01, or a wnid like n02084071"
        raise UserError(f"no noun of WordNet 3.0 is called {word!r}", text, hint)
    if named:
        raise UserError(f"{word!r} has no sense {int(named[2])}", text, f"its senses are {listed(found)}")
    if len(found) == 1:
        return found[0]
    raise UserError(f"{text!r} has {len(found)} senses in WordNet 3.0", text, f"name one: {listed(found)}")


def listed(wnids: Iterable[str]) -> str:
    """Synsets in words: "crane.n.04 (n03126707: crane; a lifting device), …"."""
    every = list(wnids)
    said: list[str] = []
    for wnid in every[:MOST_SENSES]:
        kinds = [lemmas(above)[0] for above in parents(wnid)[:1]]
        said.append(
            f"{name(wnid)} ({wnid}: {', '.join(lemmas(wnid)[:3])}{'; a kind of ' if kinds else ''}{''.join(kinds)})"
        )
    more = f" and {len(every) - MOST_SENSES} more" if len(every) > MOST_SENSES else ""
    return ", ".join(said) + more


def above(classes: Mapping[str, str], names: Mapping[str, str] | None = None) -> Taxonomy:
    """What WordNet has above these classes; a class takes its synset's place under its own id.

    Args:
        classes: class id to wnid, in class-index order.
        names: display names of classes that are called otherwise than their synsets.

    Raises:
        UserError: no classes, no such synset, two classes of one synset, a class called like another's wnid, a synset without
            hypernym (WordNet's instances, such as persons and places by name).
    """
    if not classes:
        raise UserError("there are no classes to place in WordNet", "taxonomy", "name at least one")
    id_of: dict[str, str] = {}
    for leaf, wnid in classes.items():
        if wnid in id_of:
            told = f"the classes {id_of[wnid]!r} and {leaf!r} are both {name(wnid)} ({wnid})"
            raise UserError(told, "taxonomy", "give each class a synset of its own")
        id_of[wnid] = leaf
    nodes = upwards(id_of)
    if clash := [leaf for leaf, wnid in classes.items() if leaf != wnid and leaf in nodes]:
        raise UserError(f"the class {clash[0]!r} is called like another synset", "taxonomy", "rename the class")
    if lone := [wnid for wnid, over in nodes.items() if not over and wnid != ENTITY]:
        told = f"{len(lone)} synsets have no kind above them in WordNet, for example {name(lone[0])} ({lone[0]})"
        raise UserError(told, "taxonomy", "take the kind that they are instances of")
    named = {id_of.get(wnid, wnid): ", ".join(lemmas(wnid)) for wnid in nodes}
    for leaf, wnid in classes.items():
        called = (names or {}).get(leaf) or leaf.rsplit("/", 1)[-1]
        named[leaf] = named[leaf] if called == wnid else called
    over = {id_of.get(wnid, wnid): tuple(id_of.get(p, p) for p in nodes[wnid]) for wnid in nodes}
    others = {leaf: wnid for leaf, wnid in classes.items() if leaf != wnid}
    return Taxonomy(tuple(classes), named, over, id_of.get(ENTITY, ENTITY), others)


def _row(wnid: str) -> int | None:
    if not WNID.fullmatch(wnid):
        return None
    offsets, offset = table().offsets, int(wnid[1:])
    row = bisect_left(offsets, offset)
    return row if row < len(offsets) and offsets[row] == offset else None


def _must_have(wnid: str) -> int:
    row = _row(wnid)
    if row is None:
        remedy = "wnids are n and eight digits, the offset in WordNet 3.0 (other versions have other ones)"
        raise UserError(f"no noun of WordNet 3.0 has the wnid {wnid!r}", wnid, remedy)
    return row


def _wnid(row: int) -> str:
    return f"n{table().offsets[row]:08d}"


def _plain(lemma: str) -> str:
    return "_".join(lemma.lower().split())


def _near(word: str) -> list[str]:
    """Lemmas that are written almost so; only those that begin alike are compared, or it would take seconds."""
    alike = [lemma for lemma in table().places if lemma[:1] == word[:1] and abs(len(lemma) - len(word)) <= 2]
    swapped = [lemma for lemma in alike if sorted(lemma) == sorted(word)]
    return swapped[:4] or difflib.get_close_matches(word, alike, n=4, cutoff=0.8)
