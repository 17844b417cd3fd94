"""SPEC texts: which format, where, with which options; and the source that they name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from transferlab.errors import UserError
from transferlab.images.source import Source
from transferlab.images.sources import SOURCES
from transferlab.taxonomy.readers import read_taxonomy
from transferlab.taxonomy.tree import Taxonomy, flat

COMMON = ("taxonomy", "prune", "join_roots", "resplit")  # options that every format takes


@dataclass(frozen=True)
class Spec:
    """A parsed SPEC: the text, its format, path ("" where the format takes none) and options."""

    text: str
    format: str
    path: str
    options: Mapping[str, str]


def parse_spec(text: str) -> Spec:
    """Parse ``toy``, ``digits``, ``pack:DIR`` or ``FORMAT:PATH[?key=value&…]``.

    Raises:
        UserError: an unknown format, a missing path, an option without a value.
    """
    body, _, query = text.partition("?")
    form, colon, path = body.partition(":")
    known = [*SOURCES, "pack"]
    if form not in known:
        close = difflib.get_close_matches(form, known, n=1)
        guess = f"did you mean {close[0]}" if close else f"formats are {', '.join(known)}"
        if not colon and Path(body).exists():
            guess = f"for a folder of images write imagefolder:{body}"
        raise UserError(f"there is no image format {form!r}", text, guess)
    if not path and (form == "pack" or SOURCES[form].needs_path):
        raise UserError(f"{form} needs a path", text, f"write {form}:PATH")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise UserError(f"the option {part!r} has no value", text, "write ?key=value&key=value")
        options[key] = value
    return Spec(text, form, path, options)


def open_source(spec: Spec) -> Source:
    """The source that a spec names, with its taxonomy file read and its resplit noted.

    Raises:
        UserError: whatever is wrong with the path, the options or the files.
    """
    if spec.format == "pack":
        raise UserError("a pack is read as it is", spec.text, "name the images that it was made from")
    form = SOURCES[spec.format]
    known = (*form.options, *COMMON)
    unknown = [key for key in spec.options if key not in known]
    if unknown:
        raise UserError(f"{spec.format} has no option {unknown[0]!r}", spec.text, f"it has {', '.join(known)}")
    source = form.read(spec.path, {key: value for key, value in spec.options.items() if key in form.options})
    if "taxonomy" in spec.options:
        taxonomy = read_taxonomy(
            Path(spec.options["taxonomy"]), source.classes, prune=_yes(spec, "prune"),
            join_roots=_yes(spec, "join_roots"),
        )  # fmt: skip
        source = replace(source, taxonomy=taxonomy)
    return replace(source, resplit=_yes(spec, "resplit"))


def taxonomy_of(text: str) -> Taxonomy:
    """The taxonomy of a spec, pack or source; flat where the format gives none."""
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
