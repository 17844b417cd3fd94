"""How a study was done, in words: pre-training, transfer, intervals."""

from __future__ import annotations

from collections.abc import Iterator

from transferlab.engine.backbones import BACKBONES
from transferlab.planned import Plan
from transferlab.specs import Epochs, Examples, Recipe
from transferlab.transfer.protocols import PROTOCOLS


def measured_how(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Label and text of each part of the method, in order."""
    recipe = plan.recipe
    rule = recipe.augmentation
    steps = [f"crop after {rule.crop_px} px of padding" if rule.crop_px else "", "flip" if rule.flip else "",
             f"random-resized crops of at least {100 * rule.scale:g} % of the area" if rule.scale < 1 else "",
             f"cutout {rule.cutout_px} px" if rule.cutout_px else "", f"colour {rule.colour}" if rule.colour else ""]  # fmt: skip
    in_folds = ", and in folds on images of other folds" if any(t.folds for t in plan.targets) else ""
    in_fits = ", and in folds by what they would change as training images (Nadeau and Bengio)" if in_folds else ""
    return (
        ("Pre-training length", _length_in_words(recipe)),
        ("Backbone", f"{recipe.backbone} at {recipe.image_px} px{_first_filters(plan)}"),
        ("Optimiser", f"{recipe.optimiser}, batch {recipe.batch}, peak rate {recipe.lr}, {recipe.schedule}, weight decay "
                      f"{recipe.weight_decay}, label smoothing {recipe.label_smoothing}"),
        ("Augmentation", ", ".join(step for step in steps if step) or "none"),
        ("Transfer", "; ".join(p.explained for p in plan.protocols)),
        *_of_controls(plan),
        ("Choices", f"every choice is made on validation images{in_folds}; test labels are read once, at the end"),
        ("Intervals", "95 %; one value per seed (a fresh draw of images, a fresh training); Student's t with the spread over seeds of "
                      "the contrast, moderated by that of all conditions where it compares conditions; widened by the variance that new "
                      f"test images would add{in_fits}; the first contrast stands alone, the others are adjusted for their number (Holm)"),
    )  # fmt: skip


def _of_controls(plan: Plan) -> Iterator[tuple[str, str]]:
    """How controls were measured that are not measured as the conditions are, such as training from scratch."""
    own = [p.protocol for p in plan.protocols]
    for condition in plan.conditions:
        found = [t.cell.protocol for t in plan.transfers if condition.is_control and t.condition == condition.name]
        other = [PROTOCOLS[p.kind].described(p) for p in found if p not in own and p.kind in PROTOCOLS]
        if other:
            yield f"Transfer, {condition.title}", "; ".join(dict.fromkeys(other))


def _first_filters(plan: Plan) -> str:
    """How the first filters start, where they are not random."""
    backbone = BACKBONES.get(plan.recipe.backbone.partition(":")[0])
    begun = plan.recipe.stem == "whitened" and backbone is not None and backbone.stem is not None
    known = plan.code[1] > 3  # before, all of them started at random
    return "; pre-training begins with first filters that whiten its images" if begun and known else ""


def _length_in_words(recipe: Recipe) -> str:
    """The length of pre-training, and what it means for the comparison."""
    length = recipe.length
    if isinstance(length, Examples):
        return f"{length.n:,} examples seen, the same for every condition (smaller subsets are seen more often)"
    if isinstance(length, Epochs):
        return f"{length.n} passes over each subset (larger subsets are trained longer)"
    return f"until the validation loss stops falling, at most {length.max_examples:,} examples"
