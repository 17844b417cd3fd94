"""Does leaving out the target's classes hurt?   (Huh et al. 2016; experiment E6)

The source without the classes that the targets are about, against the source without as many random other classes
of as many images: the matched control, which tells "these classes" from "fewer classes".
Cost with five seeds on two cores at 32 px: about 45 min (20 networks).
Expect: the paper found nearly no loss. State which classes were left out: the removal is narrower than words suggest.
"""

from __future__ import annotations

from collections.abc import Sequence

from transferlab import designs
from transferlab.contrasts import compare
from transferlab.errors import UserError
from transferlab.specs import Pack, Study


def shared_classes(source: Pack, targets: Sequence[Pack]) -> list[str]:
    """Source classes that are, or lie under, a node called like one of the targets' classes.

    Names are compared in lower case, by any of their comma-separated terms; ids as they are.
    """
    taxonomy = source.taxonomy
    wanted = {term for target in targets for leaf in target.taxonomy.leaves for term in _terms(target, leaf)}
    nodes = [node for node in taxonomy.parents if node != taxonomy.root and set(_terms(source, node)) & wanted]
    under = {leaf for node in nodes for leaf in taxonomy.leaves_under(node)}
    return [leaf for leaf in taxonomy.leaves if leaf in under]


def study(source: Pack, targets: Sequence[Pack]) -> Study:
    """All classes, all but the targets', and all but as many others.

    Raises:
        UserError: no class is shared, or more than half of them.
    """
    shared = shared_classes(source, targets)
    if not shared or len(shared) > len(source.taxonomy.leaves) // 2:
        raise UserError(
            f"{len(shared)} of the source's {len(source.taxonomy.leaves)} classes are called like a target's class",
            source.name,
            "list the classes to leave out in a study file: designs.without(classes) and "
            "designs.without_matched(classes), as docs/extending.md shows",
        )
    return Study(
        name="exclude-target",
        question="Does leaving out the target's classes hurt?",
        source="",
        targets=(),
        conditions={
            "without the target's classes": designs.without(shared),
            "without as many others": designs.without_matched(shared),
            "all classes": designs.all_images(),
        },
        contrasts=[
            compare("without the target's classes", "without as many others"),
            compare("without the target's classes", "all classes"),
        ],
    )


def _terms(pack: Pack, node: str) -> list[str]:
    return [node, *(term.strip().lower() for term in pack.taxonomy.names[node].split(","))]
