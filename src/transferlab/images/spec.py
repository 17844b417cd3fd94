"""SPEC texts: which format, where, with which options; and the source that they name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources import SOURCES
from transferlab.images.sources.listing import is_there
from transferlab.taxonomy import classlists
from transferlab.taxonomy.readers import read_taxonomy
from transferlab.taxonomy.tree import Taxonomy, flat

COMMON = ("name", "taxonomy", "prune", "join_roots", "resplit", "size")  # options that every format takes


@dataclass(frozen=True)
class Spec:
    """A parsed SPEC: the text, its format, path ("" where the format takes none) and options."""

    text: str
    format: str
    path: str
    options: Mapping[str, str]


def parse_spec(text: str) -> Spec:
    """Parse ``toy``, ``digits``, ``pack:DIR`` or ``FORMAT:PATH[?key=value&…]``.

    A path that is there with the question mark in its name is taken whole.

    Raises:
        UserError: an unknown format, a missing path, an option that is unknown, without a value or given twice.
    """
    head, _, query = text.partition("?")
    form, colon, path = head.partition(":")
    if colon and is_there(text[len(form) + 1 :]):
        path, query = text[len(form) + 1 :], ""
    known = [*SOURCES, "pack"]
    if form not in known:
        raise UserError(f"there is no image format {form!r}", text, _guess(form, text, known))
    if not path and (form == "pack" or SOURCES[form].needs_path):
        raise UserError(f"{form} needs a path", text, f"write {form}:PATH")
    options = _options(query, text)
    takes = () if form == "pack" else (*SOURCES[form].options, *COMMON)
    if unknown := [key for key in options if key not in takes]:
        raise UserError(f"{form} has no option {unknown[0]!r}", text, f"it has {', '.join(takes) or 'none'}")
    return Spec(text, form, path, options)


def _guess(form: str, text: str, known: list[str]) -> str:
    if is_there(text):
        return f"for a folder of images write imagefolder:{text}"
    close = difflib.get_close_matches(form.lower(), known, n=1)
    formats = f"formats are {', '.join(known)}"
    return f"did you mean {close[0]}? All {formats}" if close else formats


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
    """The source that a spec names: its display name given, its taxonomy file read, its resplit noted.

    Raises:
        UserError: whatever is wrong with the path, the options or the files.
    """
    if spec.format == "pack":
        raise UserError("a pack is decoded already", spec.text, "name the images that it was made from")
    form = SOURCES[spec.format]
    if "taxonomy" not in spec.options and {"prune", "join_roots"} & set(spec.options):
        raise UserError("prune and join_roots concern a taxonomy file", spec.text, "add taxonomy=FILE")
    source = form.read(spec.path, {key: value for key, value in spec.options.items() if key in form.options})
    of_wordnet = form.has_wnids or spec.options.get("classes") == "imagenet-1k"
    if spec.options.get("taxonomy", "wordnet" if of_wordnet else "") == "wordnet":
        source = _in_wordnet(spec, source)
    elif "taxonomy" in spec.options:
        file = Path(spec.options["taxonomy"]).expanduser()
        prune, join_roots = _yes(spec, "prune"), _yes(spec, "join_roots")
        source = replace(
            source, taxonomy=read_taxonomy(file, source.classes, prune=prune, join_roots=join_roots)
        )  # fmt: skip
    return replace(source, name=spec.options.get("name", source.name), resplit=_yes(spec, "resplit"))


def size_of(spec: Spec, otherwise: int) -> int:
    """The side in pixels that a spec asks for with ``?size=``, 8…1024, or another one.

    Raises:
        UserError: no such number.
    """
    text = spec.options.get("size", str(otherwise))
    if not text.isdecimal() or not 8 <= int(text) <= 1024:
        raise UserError(f"images of {text} px cannot be used", spec.text, "choose from 8 to 1024, for example size=128")
    return int(text)


def _in_wordnet(spec: Spec, source: Source) -> Source:
    """The source with WordNet above its classes; folders above them no longer count."""
    if {"prune", "join_roots"} & set(spec.options):
        raise UserError("prune and join_roots concern a taxonomy file", spec.text, "leave them out with wordnet")
    names = {leaf: source.taxonomy.names[leaf] for leaf in source.classes} if source.taxonomy else None
    try:
        taxonomy, how = classlists.above(source.classes, names)
    except UserError as error:
        raise UserError(error.what, spec.text, error.remedy) from error
    return replace(source, taxonomy=taxonomy, notes=(*source.notes, how))


def taxonomy_of(text: str) -> Taxonomy:
    """The taxonomy of a spec, pack, source or well-known class list; flat where the format gives none."""
    if text in classlists.LISTS:
        return classlists.taxonomy(text)
    spec = parse_spec(text)
    if spec.format == "pack":
        from transferlab.images.pack import open_pack

        return open_pack(Path(spec.path)).taxonomy
    source = open_source(spec)
    return source.taxonomy or flat(source.classes)


def _yes(spec: Spec, key: str) -> bool:
    value = spec.options.get(key, "no")
    if value not in ("yes", "no"):
        raise UserError(f"{key}={value} is neither yes nor no", spec.text, f"write {key}=yes")
    return value == "yes"
