"""Does leaving out the target's classes hurt?   (Huh et al. 2016; experiment E6)

The source without the classes that the targets are about, against the source without as many random other classes
of as many images: the matched control, which separates "without these classes" from "with fewer classes".
Cost with five seeds on two cores at 32 px: about 45 min (20 networks).
Expect: the paper found nearly no loss. Always say which classes were left out: they are fewer than the words suggest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from transferlab import designs
from transferlab.answers.published import NEARLY, Finding, conditions_of, finding_on, over_conditions
from transferlab.answers.study import StudyAnswers
from transferlab.contrasts import compare
from transferlab.errors import UserError
from transferlab.questions.definition import Question
from transferlab.specs import Pack, Study
from transferlab.taxonomy import classlists, wordnet
from transferlab.taxonomy.matching import Match, match

PASCAL = "pascal-voc"


def _matches(source: Pack, targets: Sequence[Pack]) -> list[tuple[str, Match]]:
    return [(target.name, match(source.taxonomy, target.taxonomy)) for target in targets]


def _of(source: Pack, matches: Sequence[tuple[str, Match]]) -> list[str]:
    under = {leaf for _, found in matches for leaves in found.classes.values() for leaf in leaves}
    return [leaf for leaf in source.taxonomy.leaves if leaf in under]


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """All classes, all but the targets', and all but as many others.

    Raises:
        UserError: no class is shared, or more than half of them.
    """
    matches = _matches(source, targets)
    shared = _of(source, matches)
    if not shared or len(shared) > len(source.taxonomy.leaves) // 2:
        vague = [name for _, found in matches for name in found.by_name]
        more = f"; {len(vague)} of the targets' have no one synset in WordNet: {', '.join(vague[:6])}" if vague else ""
        raise UserError(
            f"{len(shared)} of the source's {len(source.taxonomy.leaves)} classes are, or lie under, a target's{more}",
            source.name,
            "map classes to WordNet with ?taxonomy=FILE.csv (columns class,wnid), or list those to leave out in a study "
            "file: designs.without(classes) and designs.without_matched(classes), as docs/extending.md shows",
        )
    return _study(shared, _notes(source, matches, shared))


def paper(source: Pack, targets: Sequence[Pack]) -> Study:
    """PASCAL VOC's classes left out (229 of ImageNet's 1,000, 29 of Tiny ImageNet's 200), whatever the targets.

    For a source that is not in WordNet, or has none of them, its targets' classes are left out.
    """
    taxonomy = source.taxonomy
    nodes = classlists.nodes(taxonomy, PASCAL) if classlists.is_wordnet(taxonomy) else ()
    under = {leaf for node in nodes for leaf in taxonomy.leaves_under(node)}
    shared = [leaf for leaf in taxonomy.leaves if leaf in under]
    if not 1 <= len(shared) <= len(taxonomy.leaves) // 2:
        return study(source, targets)
    notes = [*_left_out(source, shared), "They are, or lie under, one of PASCAL VOC's 20 synsets."]
    return _study(shared, notes, "PASCAL's classes")


def _study(shared: Sequence[str], notes: Iterable[str], what: str = "the target's classes") -> Study:
    without = f"without {what}"
    return Study(
        name="exclude-target",
        question=f"Does leaving out {what} hurt?",
        source="",
        targets=(),
        conditions={
            without: designs.without(shared),
            "without as many others": designs.without_matched(shared),
            "all classes": designs.all_images(),
        },
        contrasts=[compare(without, "without as many others"), compare(without, "all classes")],
        notes=tuple(notes),
    )


def _notes(source: Pack, matches: Sequence[tuple[str, Match]], shared: Sequence[str]) -> Iterator[str]:
    """Sentences on what was left out for each target's classes, and on classes that were not found."""
    for target, found in matches:
        counts = ", ".join(f"{name} {len(leaves)}" for name, leaves in found.classes.items() if leaves)
        yield f"Left out for {target}: {counts or 'nothing'}."
        if found.absent:
            yield f"No class of {source.name} is, or lies under, {target}'s {', '.join(found.absent)}."
        if found.by_name:
            yield f"Compared by name, having no one synset in WordNet: {target}'s {', '.join(found.by_name)}."
    yield from _left_out(source, shared)


def _left_out(source: Pack, shared: Sequence[str]) -> Iterator[str]:
    called = ", ".join(_called(source, leaf) for leaf in shared)
    yield f"Left out in all, {len(shared)} of {len(source.taxonomy.leaves)} classes: {called}."
    yield "Siblings of a target's class in the taxonomy stay in, however similar they look (in WordNet a zebra is not a horse)."


def _called(source: Pack, leaf: str) -> str:
    name = source.taxonomy.names[leaf].split(",")[0]
    if name == leaf:
        return f"{leaf} ({wordnet.lemmas(leaf)[0]})" if wordnet.known(leaf) else leaf
    return f"{leaf} ({name})"


def finding(study: StudyAnswers) -> Finding:
    """F5, first part: leaving out the target's classes costs at most a point."""
    without, _, whole = (c.name for c in conditions_of(study))
    return finding_on(
        "F5, classes", "Leaving out the target's own classes hardly matters.",
        "771 classes without PASCAL's are nearly as good on PASCAL detection as all 1,000.",
        over_conditions(study, {without: 1.0, whole: -1.0}), (-NEARLY, np.inf), f"{without} against {whole}: {{}} points",
    )  # fmt: skip


EXCLUDE_TARGET = Question(name="exclude-target", ask=study, paper=paper, finding=finding)
