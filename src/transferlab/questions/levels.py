"""The levels of Huh et al. (2016): unchanged on ImageNet-1k, the same shares on any other source.

From the authors' published models and label files: 50, 125, 250 and 500 images per class of about 1,000; the label sets
of 9, 79, 486, 753 and 918 labels (cuts of WordNet) and 127 (a merge pass) of 1,000 classes. We do not know which budgets they
divided; ours are those of 500, 250 and 125 images per class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transferlab import designs
from transferlab.errors import UserError
from transferlab.specs import TRAIN, Design, Pack
from transferlab.taxonomy import classlists

IMAGES, OF_IMAGES = (50, 125, 250, 500), 1000
LABELS, OF_LABELS = (9, 79, 486, 753, 918), 1000
BUDGETS = (500_000, 250_000, 125_000)  # of about a million images
UNEVEN = 0.02  # share of a budget that may be lost by rounding
MERGE_PASS = 1


def class_sizes(source: Pack) -> NDArray[np.int64]:
    """Training images of each class, int64 [c]; raises UserError if the images have several labels each."""
    if source.multi_label:
        raise UserError(
            "a source with several labels per image cannot be subset by class", source.name, "use one label"
        )
    return np.bincount(source.labels[source.split == TRAIN], minlength=len(source.taxonomy.leaves))


def is_imagenet(source: Pack) -> bool:
    """Whether the classes are the 1,000 of ILSVRC-2012, by WordNet id."""
    return set(source.taxonomy.leaves) == set(classlists.read("imagenet-1k").values())


def images_per_class(source: Pack) -> list[int]:
    """Images per class, ascending; the last is the size of the largest class, which takes all images.

    Raises:
        UserError: the classes are too small to take fewer images.
    """
    sizes = class_sizes(source)
    whole = OF_IMAGES if is_imagenet(source) else float(np.median(sizes))
    levels = sorted({max(1, round(n * whole / OF_IMAGES)) for n in IMAGES} | {int(sizes.max())})
    if len(levels) < 2:
        raise UserError("the classes are too small to take fewer images", source.name, "bring more images per class")
    return levels


def usable_cuts(source: Pack, most: int) -> dict[int, int]:
    """Number of labels to depth, of the taxonomy's cuts with 2 to ``most`` labels; of equal cuts the deepest one.

    Raises:
        UserError: there is no such cut.
    """
    taxonomy = source.taxonomy
    depth_of = {len(taxonomy.cut(depth).labels): depth for depth in range(1, taxonomy.max_depth)}
    usable = {n: depth for n, depth in depth_of.items() if 2 <= n <= most}
    if not usable:
        raise UserError(
            "the source's taxonomy has no coarser labels", source.name,
            "nest the class folders (animal/dog, animal/cat, …), or add ?taxonomy=FILE with child,parent rows",
        )  # fmt: skip
    return usable


def cuts(source: Pack) -> dict[int, int]:
    """Number of labels to depth, ascending, of the taxonomy's cuts that are nearest to the paper's shares of labels.

    Raises:
        UserError: as ``usable_cuts``.
    """
    n_classes = len(source.taxonomy.leaves)
    usable = usable_cuts(source, n_classes - 1)
    wanted = [n * n_classes / OF_LABELS for n in LABELS]
    chosen = sorted({min(usable, key=lambda n: (abs(n - share), n)) for share in wanted})
    return {n: usable[n] for n in chosen}


def label_sets(source: Pack) -> dict[str, Design]:
    """Label sets by name, from few labels to many: the cuts, the merge pass, and the classes themselves.

    Raises:
        UserError: as ``usable_cuts``.
    """
    taxonomy, n_classes = source.taxonomy, len(source.taxonomy.leaves)
    found = {f"{n} labels": designs.labels_by_cut(depth) for n, depth in cuts(source).items()}
    merged = len(taxonomy.merge_up(MERGE_PASS).labels)
    if 2 <= merged < n_classes:
        found[f"{merged} labels (merged)"] = designs.labels_by_merge(MERGE_PASS)
    ascending = dict(sorted(found.items(), key=lambda item: int(item[0].split()[0])))
    return {**ascending, f"{n_classes} classes": designs.all_images()}


def budgets(source: Pack) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """For each budget (fewer classes, images of each) and (all classes, images of each), the largest budget first.

    Fewer classes give as many images each as the smallest class has, or nearly; by rounding, budgets differ by up to 2 %.

    Raises:
        UserError: too few classes or images to divide.
    """
    sizes = class_sizes(source)
    n_classes, most = len(sizes), int(sizes.min())
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for budget in BUDGETS:
        each = budget // OF_IMAGES if is_imagenet(source) else budget * most // (OF_LABELS * OF_IMAGES)
        n_fewer = -(-each * n_classes // most)
        fewer, more = (n_fewer, each * n_classes // max(1, n_fewer)), (n_classes, each)
        alike = np.prod(fewer) >= (1 - UNEVEN) * np.prod(more)
        if each >= 1 and 2 <= n_fewer < n_classes and alike:
            found.append((fewer, more))
    if not found:
        raise no_room(source, n_classes, most)
    return found


def no_room(source: Pack, n_classes: int, n_images: int) -> UserError:
    """The error for classes, each of at least so many training images, among which no budget can be divided."""
    return UserError(
        f"{n_classes} classes of at least {n_images} training images leave no room to divide a budget", source.name,
        "bring at least 4 classes of at least 4 training images",
    )  # fmt: skip


def scaled(source: Pack, what: str, paper: Sequence[object], here: Sequence[object]) -> tuple[str, ...]:
    """A sentence on how the paper's levels are scaled to this source; none for ImageNet itself."""
    if is_imagenet(source):
        return ()
    theirs, ours = (", ".join(map(str, levels)) for levels in (paper, here))
    return (f"The paper's {what}, {theirs}, are scaled to this source: {ours}.",)
