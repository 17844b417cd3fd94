"""The nouns of WordNet 3.0 and their hypernyms, from a table in this folder; no download, no other library.

The table has 82,115 synsets, each with its words and its hypernyms (pointers ``@``; instance pointers ``@i`` do not
count, rule 2). A wnid is "n" followed by the eight-digit offset in WordNet's data.noun. A synset's name is its first word
in lower case with that word's sense number, "dog.n.01". Hypernyms are in the order of these names by code point (rule 3),
whatever their order in the file or in any library.

Layout: a first line, a line of JSON ``[[column, compressed bytes], …]``, then the columns, each compressed by zlib: steps
between offsets and rows of parents as four planes of bytes, numbers of parents and senses as bytes, words as ASCII text.
``tools/build_wordnet.py`` makes it. The graph above ImageNet's classes takes 28 ms of CPU time from there (26 to 35), the
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
from transferlab.taxonomy.tree import Taxonomy, upwards

ENTITY = "n00001740"  # above every noun that has a hypernym
FILE = Path(__file__).with_name("wordnet.table")
FIRST_LINE = b"transferlab WordNet 3.0 nouns"
WNID = re.compile(r"n[0-9]{8}")
NAME = re.compile(r"(.+)\.n\.([0-9]{1,2})")
MOST_SENSES = 12  # listed in an error


@dataclass(frozen=True, eq=False)
class Table:
    """The columns, with one row for each of n synsets in the order of offsets.

    Args:
        offsets: n, ascending; a list, since they are looked up one by one (a third of the time that an array takes).
        parents: the rows of all synsets' hypernyms, concatenated. borders: n + 1 indices into it, where each synset's begin.
        senses: the sense number of each word, one byte each. words: ASCII, one line per synset, words separated by commas.
    """

    offsets: list[int]
    parents: list[int]
    borders: list[int]
    senses: bytes
    words: bytes

    @cached_property
    def lines(self) -> list[bytes]:
        """The words of each synset, separated by commas."""
        return self.words.split(b"\n")

    @cached_property
    def first_word(self) -> NDArray[np.int64]:
        """The index of each synset's first word in ``senses``, int64 [n]."""
        text = np.frombuffer(self.words, np.uint8)
        ends = np.flatnonzero((text == ord(",")) | (text == ord("\n")))
        return np.concatenate([[0], np.searchsorted(ends, np.flatnonzero(text == ord("\n"))) + 1])

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Each lemma in lower case to its indices among all words."""
        found: dict[str, list[int]] = {}
        for place, word in enumerate(self.words.decode().lower().replace("\n", ",").split(",")):
            found.setdefault(word, []).append(place)
        return found


@cache
def table() -> Table:
    """The table, read once; raises UserError if the package is incomplete."""
    try:
        first, sizes, rest = FILE.read_bytes().split(b"\n", 2)
        if first != FIRST_LINE:
            raise ValueError("unexpected first line")
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
    """The wnids of a synset's hypernyms; chains follow the first. Raises UserError if there is no such synset."""
    held, row = table(), _must_have(wnid)
    return tuple(_wnid(above) for above in held.parents[held.borders[row] : held.borders[row + 1]])


def lemmas(wnid: str) -> tuple[str, ...]:
    """A synset's words, with blanks rather than underscores: ("goldfish", "Carassius auratus").

    Raises:
        UserError: no such synset.
    """
    return tuple(table().lines[_must_have(wnid)].decode().replace("_", " ").split(","))


def name(wnid: str) -> str:
    """A synset's name: "dog.n.01"; raises UserError if there is no such synset."""
    held, row = table(), _must_have(wnid)
    first = held.lines[row].split(b",", 1)[0].decode().lower()
    return f"{first}.n.{held.senses[held.first_word[row]]:02d}"


def senses(lemma: str) -> tuple[str, ...]:
    """The wnids of a noun's senses in WordNet's order, case ignored; empty for unknown words."""
    held = table()
    places = sorted(held.places.get(_plain(lemma), []), key=lambda place: held.senses[place])
    rows = np.searchsorted(held.first_word, places, side="right") - 1
    return tuple(dict.fromkeys(_wnid(int(row)) for row in rows))


def find(text: str) -> str:
    """The wnid of a synset given by wnid ("n02084071"), by name ("dog.n.01") or by a word of one sense.

    Raises:
        UserError: an unknown text, with near matches, or a word of several senses, with each of them.
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
    """Synsets with their words and kinds: "crane.n.04 (n03126707: crane; a kind of lifting device), …"."""
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
    """The part of WordNet above these classes; each class takes the place of its synset but keeps its own id.

    Args:
        classes: class id to wnid, in class-index order.
        names: display names of classes whose names differ from their synsets'.

    Raises:
        UserError: no classes, an unknown synset, two classes of one synset, a class whose id is another's wnid, a synset without
            hypernym (WordNet's instances, such as named persons and places).
    """
    if not classes:
        raise UserError("there are no classes to place in WordNet", "taxonomy", "name at least one")
    id_of: dict[str, str] = {}
    for leaf, wnid in classes.items():
        if wnid in id_of:
            what = f"the classes {id_of[wnid]!r} and {leaf!r} are both {name(wnid)} ({wnid})"
            raise UserError(what, "taxonomy", "give each class a synset of its own")
        id_of[wnid] = leaf
    nodes = upwards(id_of, parents)
    if clash := [leaf for leaf, wnid in classes.items() if leaf != wnid and leaf in nodes]:
        raise UserError(f"the id of the class {clash[0]!r} is that of another synset", "taxonomy", "rename the class")
    if lone := [wnid for wnid, over in nodes.items() if not over and wnid != ENTITY]:
        what = f"{len(lone)} synsets have no hypernym in WordNet, for example {name(lone[0])} ({lone[0]})"
        raise UserError(what, "taxonomy", "use the kind of which they are instances")
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
        remedy = "a wnid is n and eight digits, the offset in WordNet 3.0 (other versions have other offsets)"
        raise UserError(f"no noun of WordNet 3.0 has the wnid {wnid!r}", wnid, remedy)
    return row


def _wnid(row: int) -> str:
    return f"n{table().offsets[row]:08d}"


def _plain(lemma: str) -> str:
    return "_".join(lemma.lower().split())


def _near(word: str) -> list[str]:
    """Lemmas of similar spelling; only those with the same first letter are compared, which saves seconds."""
    alike = [lemma for lemma in table().places if lemma[:1] == word[:1] and abs(len(lemma) - len(word)) <= 2]
    swapped = [lemma for lemma in alike if sorted(lemma) == sorted(word)]
    return swapped[:4] or difflib.get_close_matches(word, alike, n=4, cutoff=0.8)
