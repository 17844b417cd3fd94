"""How a study was measured, in words: training, transfer, intervals."""

from __future__ import annotations

from transferlab.planned import Plan
from transferlab.specs import Epochs, Examples, Protocol, Recipe
from transferlab.transfer.protocols import detect_knobs


def measured_how(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Label and text of each part of the method, in order."""
    recipe = plan.recipe
    rule = recipe.augmentation
    steps = [f"crop after {rule.crop_px} px of padding" if rule.crop_px else "", "flip" if rule.flip else "",
             f"random-resized crops of at least {100 * rule.scale:g} % of the area" if rule.scale < 1 else "",
             f"cutout {rule.cutout_px} px" if rule.cutout_px else "", f"colour {rule.colour}" if rule.colour else ""]  # fmt: skip
    return (
        ("Pre-training length", _length_in_words(recipe)),
        ("Backbone", f"{recipe.backbone} at {recipe.image_px} px"),
        ("Optimiser", f"{recipe.optimiser}, batch {recipe.batch}, peak rate {recipe.lr}, {recipe.schedule}, weight decay "
                      f"{recipe.weight_decay}, label smoothing {recipe.label_smoothing}"),
        ("Augmentation", ", ".join(step for step in steps if step) or "none"),
        ("Transfer", "; ".join(_protocol_in_words(p) for p in plan.protocols)),
        ("Choices", "every choice is made on validation images; test labels are read once, afterwards"),
        ("Intervals", "95 %; one value per seed (a fresh draw of images, a fresh training), paired; Student's t, widened "
                      "by what new test images would add; Holm over the declared contrasts"),
    )  # fmt: skip


def _length_in_words(recipe: Recipe) -> str:
    """The recipe's length, and what is therefore compared."""
    length = recipe.length
    if isinstance(length, Examples):
        return f"{length.n:,} examples seen, the same for every condition (fewer images are seen more often)"
    if isinstance(length, Epochs):
        return f"{length.n} passes over each subset (larger subsets are trained longer)"
    return f"until the validation loss is flat, at most {length.max_examples:,} examples"


def _protocol_in_words(protocol: Protocol) -> str:
    words = {
        "probe": "linear probe: logistic regression on frozen features",
        "knn": "cosine nearest neighbours on frozen features",
        "finetune": "fine-tuning of all layers",
        "refit": "a new last layer for all the source's own classes on frozen features",
        "induction": "induction: the source's own classes by their nearest image on frozen features, freely and within "
        "coarse labels, and these labels",
        "detect": "detection: a Faster R-CNN around the backbone",
    }[protocol.kind]
    if protocol.kind == "detect":
        return f"{words}, {_detection_in_words(protocol)}"
    rule = [f" ({name} {n})" for name, n in protocol.knobs.items() if protocol.kind == "induction"]
    shots = "" if protocol.shots is None else f", {protocol.shots} examples a class for training and validation"
    return "".join([words, *rule, shots])


def _detection_in_words(protocol: Protocol) -> str:
    knobs = detect_knobs(protocol)
    frozen = "none" if knobs["frozen"] == 0 else knobs["frozen"]
    norms = "keep their averages" if knobs["norms"] == "frozen" else "use each batch's own averages"
    return (
        f"{knobs['examples']:,} images seen in batches of {knobs['batch']}, training and validation images together, AdamW at a "
        f"peak rate of {knobs['lr']}; {frozen} of the backbone's parts fixed, counted from the stem; batch norms {norms}; "
        f"{knobs['proposals']} proposals an image (from scratch: all parts and all norms are trained; random features: none of "
        "the backbone's is)"
    )
