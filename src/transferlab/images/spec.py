"""SPEC texts such as ``voc:VOCdevkit?year=2007``: which format, where, with which options; and the source they name."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, is_there
from transferlab.images.source import Item, Source
from transferlab.images.sources import SOURCES
from transferlab.specs import Pack
from transferlab.taxonomy import classlists
from transferlab.taxonomy.readers import read_taxonomy
from transferlab.taxonomy.tree import Taxonomy, flat

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Spec:
    """A parsed and checked SPEC.

    Args:
        text: the whole of it.
        path: what follows the colon, "" if the format takes no path.
        options: as given.
    """

    text: str
    format: Format
    path: str
    options: Mapping[str, str]

    def check_there(self) -> None:
        """Raises UserError if the file or folder that the format reads does not exist."""
        self.format.locate(self.path, self.options)

    def pack(self) -> Pack | None:
        """The pack, if the format is that of packs; raises UserError if it cannot be opened."""
        return self.format.open_pack(Path(self.path)) if self.format.open_pack else None


def parse_spec(text: str) -> Spec:
    """Parse ``FORMAT`` or ``FORMAT:PATH``, each with or without ``?key=value&…``.

    A path that exists with the question mark in its name is taken whole.

    Raises:
        UserError: an unknown format, a missing path, an option that is unknown, impossible, empty, missing or repeated.
    """
    head, _, query = text.partition("?")
    name, colon, path = head.partition(":")
    if colon and is_there(text[len(name) + 1 :]):
        path, query = text[len(name) + 1 :], ""
    if name not in SOURCES and is_there(text):
        raise UserError(f"there is no image format {name!r}", text, f"for a folder of images write imagefolder:{text}")
    form = SOURCES.find(name, text)
    options = _options(query, text)
    form.check(path, options, text)
    return Spec(text, form, path, options)


def _options(query: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise UserError(f"the option {part!r} has no value", text, "write ?key=value&key=value")
        if key in options:
            raise UserError(f"the option {key} is given twice", text, "give it once")
        options[key] = value
    return options


def open_source(spec: Spec) -> Source:
    """The source that a spec names, with the name, taxonomy and new splits that its options ask for.

    The code of a format from outside counts towards the fingerprint, so that no pack or half-done packing outlives it.

    Raises:
        UserError: something is wrong with the path, the options or the files.
    """
    given = spec.options.get("taxonomy", "")
    if given in ("", "wordnet") and {"prune", "join_roots"} & set(spec.options):
        remedy = "leave them out with wordnet" if given else "add taxonomy=FILE"
        raise UserError("prune and join_roots are options of a taxonomy file", spec.text, remedy)
    source = _bounded(spec)
    if (brought := SOURCES.brought(spec.format.name)) is not None:  # its code decides what the same files give
        source = replace(source, fingerprint=digest("source", source.fingerprint, brought.code))
    taxonomy = given or ("wordnet" if source.has_wnids else "")
    prune, join_roots, resplit = (spec.options.get(key) == "yes" for key in ("prune", "join_roots", "resplit"))
    if taxonomy == "wordnet":
        source = _in_wordnet(spec, source)
    elif taxonomy:
        tree = read_taxonomy(Path(taxonomy).expanduser(), source.classes, prune=prune, join_roots=join_roots)
        source = replace(source, taxonomy=tree)
    return replace(source, name=spec.options.get("name", source.name), resplit=resplit)


def _bounded(spec: Spec) -> Source:
    """A source all of whose errors are told in a paragraph: whatever foreign bytes can raise is no mistake of ours.

    Errors of formats from outside stay as they are; the command tells their file and line.
    """
    if SOURCES.brought(spec.format.name) is not None:
        return spec.format.open(spec.path, spec.options)
    try:
        source = spec.format.open(spec.path, spec.options)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(error, spec.text, "") from error

    def items() -> Iterator[Item]:
        last = ""
        try:
            for item in source.items():
                yield item
                last = f" after {item.key}"
        except UserError:
            raise
        except Exception as error:
            raise _unreadable(error, spec.text, last) from error

    return replace(source, items=items)


def _unreadable(error: Exception, where: str, after: str) -> UserError:
    """An error that no reader foresaw, with its place in the code, since it may be a mistake of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = next(frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(PACKAGE))
    place = f"{type(error).__name__} in {Path(ours.filename).relative_to(PACKAGE)}, line {ours.lineno}"
    what = " ".join(str(error).split())[:200]
    return UserError(f"the images cannot be read{after} ({place}{f': {what}' if what else ''})", where,
                     "get the data set again, or repair it; if it is whole, please report this")  # fmt: skip


def _in_wordnet(spec: Spec, source: Source) -> Source:
    """The source with WordNet above its classes, instead of folders."""
    names = {leaf: source.taxonomy.names[leaf] for leaf in source.classes} if source.taxonomy else None
    try:
        taxonomy, how = classlists.above(source.classes, names)
    except UserError as error:
        raise UserError(error.what, spec.text, error.remedy) from error
    return replace(source, taxonomy=taxonomy, notes=(*source.notes, how))


def taxonomy_of(text: str) -> Taxonomy:
    """The taxonomy of a spec or of a well-known class list; flat if the images have none.

    Raises:
        UserError: as ``parse_spec`` and ``open_source``.
    """
    if text in classlists.LISTS:
        return classlists.taxonomy(text)
    spec = parse_spec(text)
    pack = spec.pack()
    if pack is not None:
        return pack.taxonomy
    source = open_source(spec)
    return source.taxonomy or flat(source.classes)
