"""Class lists of well-known data sets in WordNet, and how the classes of any source find their synsets.

The lists lie in ``lists/``, as CSV with the columns class, wnid and note; users map their own classes by such a file.
CIFAR-100's is our own mapping, its doubtful rows have notes. PASCAL VOC's is the one that Huh et al. removed classes
by.
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
MAPPED = ("cifar-100", "pascal-voc")  # of which the classes have names and no wnids
MOST_TOLD = 5


@dataclass(frozen=True)
class Found:
    """Classes with their synsets.

    Args:
        synsets: class id to wnid, in class-index order. how: the same ids to how it was found, in a few words.
        missing: class id to the reason why it has none.
    """

    synsets: Mapping[str, str]
    how: Mapping[str, str]
    missing: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """How classes were found, with their numbers, for notes."""
        ways = Counter(self.how.values())
        return "classes stand in WordNet 3.0: " + ", ".join(f"{n} {way}" for way, n in ways.items())


@cache
def read(name: str) -> Mapping[str, str]:
    """A list's classes in class-index order to their wnids.

    Raises:
        KeyError: no such list.
    """
    if name not in LISTS:
        raise KeyError(name)
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row.get("class") or row["wnid"]: row["wnid"] for row in csv.DictReader(file)}


def taxonomy(name: str) -> Taxonomy:
    """WordNet above a list's classes."""
    return wordnet.above(read(name))


def find(
    classes: Sequence[str], names: Mapping[str, str] | None = None, given: Mapping[str, str] | None = None
) -> Found:
    """Each class's synset: as it is given, by its id, by a shipped list, or by its name's only noun sense.

    A shipped list counts where the classes are that data set's: all of them are in it, and at least half of it is
    here. Where a name is a comma-separated list of words, the one sense that its known words share is taken.

    Args:
        names: display names; a class without one is called by the last part of its id.
        given: class id to wnid, synset name or unambiguous word.

    Raises:
        UserError: what is given for a class names no synset.
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
    """WordNet above any source's classes, and a sentence on how they were found; see ``find``.

    Raises:
        UserError: classes whose synset cannot be told, with the reason and how to map them.
    """
    found = find(classes, names, given)
    if found.missing:
        told = "; ".join(list(found.missing.values())[:MOST_TOLD])
        more = f"; and {len(found.missing) - MOST_TOLD} more" if len(found.missing) > MOST_TOLD else ""
        raise UserError(
            f"{len(found.missing)} of {len(classes)} classes have no one synset: {told}{more}", "taxonomy=wordnet",
            "map these classes in a CSV file with the header class,wnid and give it as taxonomy=FILE.csv",
        )  # fmt: skip
    return wordnet.above(found.synsets, names), found.sentence


def nodes(taxonomy: Taxonomy, text: str) -> tuple[str, ...]:
    """The nodes of a taxonomy that a text names: an id, or in WordNet a synset's name, a word or a class list.

    Synsets above none of the taxonomy's classes are no nodes of it: there may be none.

    Raises:
        UserError: neither the taxonomy nor WordNet knows it, or a word has several senses.
    """
    if text in taxonomy.parents or not is_wordnet(taxonomy):
        taxonomy.chain(text)  # an unknown one is told
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
