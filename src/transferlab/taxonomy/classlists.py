"""Class lists of well-known data sets in WordNet, and the synsets of any source's classes.

The lists are CSV files in ``lists/`` with the columns class, wnid and note; users map their own classes with such a file.
CIFAR-100's is our own mapping, with notes on doubtful rows. PASCAL VOC's is the one by which Huh et al. removed classes.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transferlab.errors import UserError
from transferlab.taxonomy import wordnet
from transferlab.taxonomy.tree import Taxonomy

FOLDER = Path(__file__).with_name("lists")
LISTS = ("imagenet-1k", "tiny-imagenet", "cifar-100", "pascal-voc")
MAPPED = ("cifar-100", "pascal-voc")  # lists whose classes have names, not wnids
MOST_LISTED = 5


@dataclass(frozen=True)
class Found:
    """Classes with their synsets.

    Args:
        synsets: class id to wnid, in class-index order. how: the same ids to how the synset was found, in a few words.
        missing: class id to the reason why no synset was found.
    """

    synsets: Mapping[str, str]
    how: Mapping[str, str]
    missing: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """How many classes were found in which way, for notes."""
        ways = Counter(self.how.values())
        return "classes placed in WordNet 3.0: " + ", ".join(f"{n} {way}" for way, n in ways.items())


@cache
def read(name: str) -> Mapping[str, str]:
    """A list's classes in class-index order to their wnids; the name is one of ``LISTS``."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row.get("class") or row["wnid"]: row["wnid"] for row in csv.DictReader(file)}


def taxonomy(name: str) -> Taxonomy:
    """WordNet above a list's classes."""
    return wordnet.above(read(name))


def find(
    classes: Sequence[str], names: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None
) -> Found:
    """Find each class's synset: the given one, its id, its row in a shipped list, or its name's only noun sense.

    A shipped list is used if the classes are that data set's: all of them are in the list, and they are at least half of
    it. For a name that is a comma-separated list of words, it is the one sense that all known words share.

    Args:
        names: display names; for a class without one, the last part of its id is used.
        given: class id to wnid, synset name or unambiguous word.

    Raises:
        UserError: a given text that names no synset.
    """
    list_name = next((name for name in MAPPED if _is(classes, name)), None)
    mapped = {_key(c): wnid for c, wnid in read(list_name).items()} if list_name else {}
    synsets: dict[str, str] = {}
    how: dict[str, str] = {}
    missing: dict[str, str] = {}
    for leaf in classes:
        if given and leaf in given:
            synsets[leaf], how[leaf] = _given(leaf, given[leaf]), "by your file"
        elif wordnet.known(leaf.rsplit("/", 1)[-1]):
            synsets[leaf], how[leaf] = leaf.rsplit("/", 1)[-1], "by wnid"
        elif list_name:
            synsets[leaf], how[leaf] = mapped[_key(leaf)], f"by the list of {list_name}"
        else:
            shown = (names or {}).get(leaf) or leaf.rsplit("/", 1)[-1]
            senses = _senses(shown)
            if len(senses) == 1:
                synsets[leaf], how[leaf] = senses[0], "by their only noun sense"
            else:
                missing[leaf] = (
                    f"{shown!r} has {len(senses)} senses: {wordnet.listed(senses)}" if senses
                    else f"no noun of WordNet 3.0 is called {shown!r}"
                )  # fmt: skip
    return Found(synsets, how, missing)


def above(
    classes: Sequence[str], names: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None
) -> tuple[Taxonomy, str]:
    """WordNet above any source's classes, and a sentence on how their synsets were found; see ``find``.

    Raises:
        UserError: classes without a unique synset, with the reasons and how to map them.
    """
    found = find(classes, names, given)
    if found.missing:
        listed = "; ".join(list(found.missing.values())[:MOST_LISTED])
        more = f"; and {len(found.missing) - MOST_LISTED} more" if len(found.missing) > MOST_LISTED else ""
        raise UserError(
            f"{len(found.missing)} of {len(classes)} classes have no unique synset: {listed}{more}", "taxonomy=wordnet",
            "map these classes in a CSV file with the header class,wnid and give it as taxonomy=FILE.csv",
        )  # fmt: skip
    return wordnet.above(found.synsets, names), found.sentence


def nodes(taxonomy: Taxonomy, text: str) -> tuple[str, ...]:
    """The nodes of a taxonomy that a text names: an id, or in WordNet a synset's name, a word or a class list.

    Synsets that are above none of the taxonomy's classes are not among its nodes, so the result may be empty.

    Raises:
        UserError: a text that neither the taxonomy nor WordNet knows, or a word with several senses.
    """
    if text in taxonomy.parents or not is_wordnet(taxonomy):
        taxonomy.chain(text)  # raises for an unknown id
        return (text,)
    named = read(text).values() if text in LISTS else (wordnet.find(text),)
    id_of = {wnid: node for node, wnid in taxonomy.synsets.items()}
    return tuple(node for wnid in named if (node := id_of.get(wnid, wnid)) in taxonomy.parents)


def is_wordnet(taxonomy: Taxonomy) -> bool:
    """Whether this is WordNet above some classes."""
    return taxonomy.synsets.get(taxonomy.root, taxonomy.root) == wordnet.ENTITY


def _is(classes: Sequence[str], name: str) -> bool:
    theirs = {_key(c) for c in read(name)}
    ours = {_key(c) for c in classes}
    return ours <= theirs and 2 * len(ours) >= len(theirs)


def _key(leaf: str) -> str:
    return leaf.rsplit("/", 1)[-1].lower().replace(" ", "_").replace("-", "_")


def _given(leaf: str, text: str) -> str:
    try:
        return wordnet.find(text)
    except UserError as error:
        raise UserError(f"class {leaf!r}: {error.what}", error.where, error.remedy) from error


def _senses(shown: str) -> tuple[str, ...]:
    """The senses that all known words of a comma-separated name share."""
    known = [found for word in shown.split(",") if (found := wordnet.senses(word.strip()))]
    return tuple(sense for sense in known[0] if all(sense in others for others in known)) if known else ()
