"""Checks a study before any image is decoded or network trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from transferlab import designs
from transferlab.contrasts import resolve
from transferlab.engine import backbones
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.errors import UserError
from transferlab.origins import ORIGINS
from transferlab.origins.definition import repeated_name
from transferlab.specs import LEAST_PX, MOST_PX, Epochs, Protocol, Recipe, Study, TargetFacts
from transferlab.taxonomy.tree import Taxonomy
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.protocols import PROTOCOLS, definition_of
from transferlab.typed import misfit

MOST_SEEDS = 1000
SOURCE_ITSELF = "source"  # as a target: the held-out images of the source, labelled by its leaf classes
EXAMPLES = {
    "source": 'source="imagefolder:photos"',
    "targets": 'targets=["digits"]',
    "conditions": "conditions={n: designs.images_per_class(n) for n in (10, 20)}",
    "contrasts": "contrasts=steps()",
    "controls": 'controls=["scratch"]',
    "metric": 'metric="top5"',
    "seeds": "seeds=5",
    "reference": 'reference="20"',
    "recipe": 'recipe=Recipe(backbone="small")',
    "notes": 'notes=["without the blurred photographs"]',
    "protocols": "protocols=[probe()]",
}


def validate(study: Study, taxonomy: Taxonomy | None = None, targets: Sequence[TargetFacts] = ()) -> None:
    """Check a study's names and values, and whether they suit its images if these are known.

    Args:
        taxonomy: the source's; None if the images are not known yet, and then ``targets`` are ignored.

    Raises:
        UserError: an unknown name, a value out of range, or something that a target or the source's taxonomy does not have.
    """
    where = f"study {study.name!r:.80}"
    _types(study, where)
    _conditions(study, where)
    if not study.targets:
        raise UserError("the study has no target", where, "name at least one target, for example --target digits")
    check_seeds(study.seeds, where)
    check_recipe(study.recipe)
    _protocols(study, where)
    if study.metric and METRICS.find(study.metric, where).needs_probabilities:
        compared = ", ".join(m.name for m in METRICS.values() if not m.needs_probabilities)
        raise UserError(f"no study compares {study.metric!r}", where, f"choose one of {compared}")
    has_source = bool({SOURCE_ITSELF, study.source} & set(study.targets))
    if taxonomy is not None:
        has_source = any(target.own_classes for target in targets)
        _fits(study, taxonomy, targets, where)
    own = [p for p in study.protocols if definition_of(p).own_classes]
    if own and not has_source:
        raise UserError(
            f"{definition_of(own[0]).label(own[0])} measures the source's own classes, but the source is not a target",
            where, f'add "{SOURCE_ITSELF}" to its targets',
        )  # fmt: skip


def _types(study: Study, where: str) -> None:
    """Check the types of all fields; the settings of designs and protocols are checked by their definitions."""
    if wrong := misfit(study, Study, frozenset({"knobs"})):
        example = EXAMPLES.get(wrong.place.split("[")[0])
        remedy = f"write for example {example}" if example and "." not in wrong.place else f"give {wrong.wanted}"
        place = f"the study's {wrong.place}".replace("the study's key of ", "a key of the study's ")
        raise UserError(f"{place} cannot be {wrong.shown}", where, remedy)


def _conditions(study: Study, where: str) -> None:
    levels = [str(level) for level in study.conditions]
    if "" in levels:
        raise UserError("a condition has no name", where, "name it, for example by its number of images")
    if not levels:
        raise UserError("the study has no conditions", where, "give at least two conditions to compare")
    if twice := [level for level in levels if levels.count(level) > 1]:
        raise UserError(f"two conditions are called {twice[0]!r}", where, "give them different names")
    for name in study.controls:
        ORIGINS.find(name, where)
    if twice := [name for name in study.controls if study.controls.count(name) > 1]:
        raise UserError(f"the control {twice[0]!r} is named twice", where, "name it once")
    _repeated(study, levels, where)
    if "type" in levels:  # stored data name their types by it
        raise UserError("a condition may not be called 'type'", where, "rename it")
    if clash := [name for name in levels if name in ORIGINS]:
        raise UserError(f"a condition may not be called {clash[0]!r}, the name of a control", where, "rename it")
    if study.reference is not None and study.reference not in levels:
        raise UserError(
            f"the reference {study.reference!r} is not a condition", where, f"conditions are {', '.join(levels)}"
        )
    for design in study.conditions.values():
        designs.check(design)
    resolve(study.contrasts, levels, [name for name in study.controls if ORIGINS[name].divides_lr is None])


def _repeated(study: Study, levels: Sequence[str], where: str) -> None:
    """Check a control that repeats every condition: there is one at most, and its names are free."""
    again = [ORIGINS[name] for name in study.controls if ORIGINS[name].divides_lr is not None]
    if len(again) > 1:
        raise UserError(
            f"the controls {again[0].name!r} and {again[1].name!r} both repeat every condition at another learning rate", where,
            "name one of them",
        )  # fmt: skip
    names = {repeated_name(level, origin) for level in levels for origin in again}
    if clash := [level for level in levels if level in names]:
        raise UserError(
            f"a condition may not be called {clash[0]!r}, a name that the control {again[0].name!r} gives",
            where,
            "rename it",
        )


def _protocols(study: Study, where: str) -> None:
    if not study.protocols:
        raise UserError("the study has no protocol", where, "add one, for example protocols=[probe()]")
    asked: list[tuple[Any, ...]] = []
    for protocol in study.protocols:
        definition = PROTOCOLS.find(protocol.kind, where)
        settings = definition.settings(protocol.knobs)
        definition.must_take(protocol)
        if definition.together is not None:
            definition.together(settings)
        asked.append((protocol.kind, protocol.shots, settings))
    if twice := [kind for kind, *rest in asked if asked.count((kind, *rest)) > 1]:
        raise UserError(f"the protocol {twice[0]} is named twice with the same settings", where, "name it once")


def _fits(study: Study, taxonomy: Taxonomy, targets: Sequence[TargetFacts], where: str) -> None:
    """Check a study against its targets and the source's taxonomy."""
    own = [p for p in study.protocols if definition_of(p).own_classes]
    if own and own[0] is study.protocols[0] and len(targets) > 1:
        raise UserError(
            f"{definition_of(own[0]).label(own[0])} is the first protocol, by which every target is compared, but it measures only the source's own classes",
            where, "name another protocol before it, for example probe()",
        )  # fmt: skip
    for protocol in study.protocols:
        definition = definition_of(protocol)
        if definition.check is not None:
            definition.check(definition.settings(protocol.knobs), taxonomy)
    for target in targets:
        _suits(study, target, len(targets), own, where)


def _suits(study: Study, target: TargetFacts, n_targets: int, own: Sequence[Protocol], where: str) -> None:
    """Check that a target has a protocol, and that its protocols and the metric can measure it."""
    same_kind = [p for p in study.protocols if definition_of(p).boxes == target.has_boxes]
    of_own = bool(own and target.own_classes)
    asked = [p for p in same_kind if definition_of(p).own_classes == of_own] or same_kind
    if of_own and not source_apart(study, n_targets):
        asked = same_kind  # all of them measure it
    if not asked:
        lack = (
            "boxes, and no protocol of the study uses boxes"
            if target.has_boxes
            else "no boxes, which all protocols need"
        )
        raise UserError(f"the target has {lack}", f"{where}, target {target.name}", "add detect() or probe()")
    for protocol in asked:
        if refusal := definition_of(protocol).refusal(protocol, target):
            raise UserError(
                f"{protocol.kind} {refusal}",
                f"{where}, target {target.name}",
                "leave folds out"
                if definition_of(protocol).folds(protocol)
                else "use another protocol, for example the probe",
            )
    if study.metric and not (target.own_classes and source_apart(study, n_targets)):
        kind = "boxes" if target.has_boxes else "many" if target.many_labels else "one"
        if METRICS[study.metric].labels != kind:
            fitting = [m.name for m in METRICS.values() if m.labels == kind]
            raise UserError(f"the target has no metric {study.metric!r}", f"{where}, target {target.name}",
                            f"its metrics are {', '.join(fitting)}")  # fmt: skip


def source_apart(study: Study, n_targets: int) -> bool:
    """Whether the source, as one of several targets, is measured by protocols of its own classes only."""
    return n_targets > 1 and any(definition_of(p).own_classes for p in study.protocols)


def check_seeds(seeds: int, where: str) -> None:
    """Raise UserError for fewer than 1 or more than 1000 seeds."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(
            f"{seeds} seeds cannot be run", where, f"choose from 1 to {MOST_SEEDS}; intervals need at least 3"
        )


def check_size(size_px: int) -> None:
    """Raise UserError if images of this side cannot be packed."""
    if not LEAST_PX <= size_px <= MOST_PX:
        remedy = f"choose from {LEAST_PX} to {MOST_PX}, for example 32 or 64"
        raise UserError(f"images of {size_px} px cannot be used", "--size", remedy)


def check_recipe(recipe: Recipe) -> None:
    """Check the values of a recipe.

    Raises:
        UserError: a value outside its range, an unknown optimiser, schedule or precision.
    """
    length, rule, most = recipe.length, recipe.augmentation, float("inf")
    check_size(recipe.image_px)
    least = 0.01 if isinstance(length, Epochs) else 1
    longest = 1e6 if isinstance(length, Epochs) else 1e12
    lengths = {f"length's {name}": (value, least, longest) for name, value in vars(length).items()}
    ranges: dict[str, tuple[float, float, float]] = {
        "batch": (recipe.batch, 1, 65_536), "lr": (recipe.lr, 0, most), "weight_decay": (recipe.weight_decay, 0, most),
        "warmup": (recipe.warmup, 0, 0.99), "label_smoothing": (recipe.label_smoothing, 0, 1),
        "ema": (0.0 if recipe.ema is None else recipe.ema, 0, 1), "crop_px": (rule.crop_px, 0, recipe.image_px - 1),
        "cutout_px": (rule.cutout_px, 0, recipe.image_px), "colour": (rule.colour, 0, 1), "scale": (rule.scale, 0.01, 1), **lengths,
    }  # fmt: skip
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            to = "up" if high == most else f"to {high:,.15g}"
            raise UserError(f"{name} = {value} is impossible", f"recipe {recipe.name}", f"choose from {low} {to}")
    OPTIMISERS.find(recipe.optimiser, f"recipe {recipe.name}")
    backbone, detail = backbones.find(recipe.backbone)
    if backbone.check is not None:
        backbone.check(detail, recipe.image_px)
    for name, type_ in get_type_hints(Recipe).items():
        known = get_args(type_)
        if get_origin(type_) is Literal and vars(recipe)[name] not in known:
            raise UserError(
                f"there is no {name} {vars(recipe)[name]!r}", f"recipe {recipe.name}", f"known: {', '.join(known)}"
            )
