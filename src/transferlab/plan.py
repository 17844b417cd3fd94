"""A study and its packs become cells, each named by the hash of all that its result depends on; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transferlab import designs
from transferlab.answers.contrast import resolve
from transferlab.errors import UserError
from transferlab.identity import DESIGN, ENGINE, TRANSFER, digest
from transferlab.planned import NamedCondition, PackRef, Plan, RandomNetwork, Training, Transfer
from transferlab.specs import (
    CONTROLS,
    TRAIN,
    Design,
    Epochs,
    Examples,
    Pack,
    PretrainCell,
    Protocol,
    Recipe,
    Study,
    Subset,
    TransferCell,
)

SCRATCH_EXAMPLES = 60_000  # at most; and half of what pre-training sees, since two learning rates are tried
# Networks trained at once on one device. On the CPU they would share the cores that one fills. On CUDA each has a
# stream, of which torch has 32 apart; sixteen leave room for those that copy.
COHORT = {"cpu": 1, "cuda": 16}
REPLICATE_SEED = 1_000_000  # the A/A pair's twin: other classes and images, other initialisation and order


@dataclass(frozen=True)
class Place:
    """The kind of device that cells are planned for; part of their identity."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]


def make_plan(
    study: Study, source: tuple[PackRef, Pack], targets: Sequence[PackRef], place: Place, keep: Callable[[Subset], None]
) -> Plan:
    """Turn a checked study into its plan.

    Args:
        source: the source's reference and its opened pack.
        targets: in the study's order.
        keep: is given every subset drawn, for example to store it.

    Raises:
        UserError: an impossible level, an unknown name, no condition, no target.
    """
    check(study)
    reference, pack = source
    conditions = named_conditions(study)
    contrasts = resolve(study.contrasts, [c.name for c in conditions if not c.is_control])
    precision = place.precision if study.recipe.precision == "auto" else study.recipe.precision
    place = replace(place, precision=precision)
    _check_protocols_of_source(study, reference, targets)
    trainings: list[Training] = []
    transfers: list[Transfer] = []

    def pairs(protocols: Sequence[Protocol]) -> list[tuple[PackRef, Protocol]]:
        # Where the source is a target beside others, for its own protocols, nothing else is asked of it.
        alone = len(targets) > 1 and any(p.of_source for p in study.protocols)
        return [
            (t, p) for t in targets for p in protocols
            if (p.kind == "detect") == t.has_boxes
            and (p.of_source == (t.digest == reference.digest) or not (alone or p.of_source))
        ]  # fmt: skip

    for seed in range(study.seeds):
        drawn = {replicate: designs.Draw(pack, seed, replicate) for replicate in (0, 1)}  # shared by the conditions
        for condition in conditions:
            if condition.design is None:
                network = RandomNetwork(study.recipe, seed, reference.digest, place.device, place.precision)
                key = digest("untrained", ENGINE, network)
                protocols = _protocols_of(condition.name, study, len(pack.rows(TRAIN)))
                transfers += _transfers(condition.name, key, seed, pairs(protocols), network)
                continue
            twin = condition.name == "a/a"
            subset = designs.take(condition.design, drawn[int(twin)])
            keep(subset)
            cell = PretrainCell(
                subset.digest, study.recipe, seed + (REPLICATE_SEED if twin else 0), place.device, precision
            )
            training = Training(digest("pretrain", ENGINE, cell), condition.name, seed, cell)
            trainings.append(training)
            transfers += _transfers(condition.name, training.key, seed, pairs(study.protocols), None)
    identity = digest(
        "study", study.name, reference.digest, [t.digest for t in targets], list(conditions), study.recipe,
        list(study.protocols), place.device, precision,
    )  # fmt: skip
    return Plan(
        identity=identity, name=study.name, question=study.question, source=reference, targets=tuple(targets),
        conditions=conditions, contrasts=contrasts, reference=reference_of(study), seeds=study.seeds, unit=study.unit,
        recipe=study.recipe, protocols=tuple(study.protocols), device=place.device, precision=precision,
        trainings=tuple(trainings), transfers=tuple(transfers), code=(DESIGN, ENGINE, TRANSFER),
        notes=tuple(study.notes),
    )  # fmt: skip


def check(study: Study) -> None:
    """Refuse what no data could make right, before any work.

    Raises:
        UserError: no conditions, an unknown control, fewer than one seed, a reference that is no condition.
    """
    where = f"study {study.name!r}"
    levels = [str(level) for level in study.conditions]
    if not levels:
        raise UserError("the study has no conditions", where, "give at least two conditions to compare")
    if not study.targets:
        raise UserError("the study has no target", where, "name at least one target, for example --target digits")
    unknown = [name for name in study.controls if name not in CONTROLS]
    if unknown:
        raise UserError(f"there is no control {unknown[0]!r}", where, f"controls are {', '.join(CONTROLS)}")
    clash = [name for name in levels if name in CONTROLS]
    if clash:
        raise UserError(f"a condition may not be called {clash[0]!r}, the name of a control", where, "rename it")
    check_seeds(study.seeds, where)
    check_recipe(study.recipe)
    if study.reference is not None and study.reference not in levels:
        raise UserError(
            f"the reference {study.reference!r} is no condition", where, f"conditions are {', '.join(levels)}"
        )
    if not study.protocols:
        raise UserError("the study has no protocol", where, "use for example protocols=[probe()]")


def _check_protocols_of_source(study: Study, source: PackRef, targets: Sequence[PackRef]) -> None:
    """Refuse protocols of the source's own classes where the source is no target, or where they would be the answer.

    Raises:
        UserError: with the protocol.
    """
    of_source = [p for p in study.protocols if p.of_source]
    if of_source and source.digest not in {t.digest for t in targets}:
        raise UserError(
            f"{of_source[0].label} tells the source's own classes, and the source is no target",
            f"study {study.name!r}", 'add "source" to its targets'
        )  # fmt: skip
    if study.protocols[0].of_source and len(targets) > 1:
        raise UserError(
            f"{study.protocols[0].label} is the first protocol, which is compared on every target, and tells only the "
            "source's own classes", f"study {study.name!r}", "name another protocol before it, for example probe()"
        )  # fmt: skip


def check_seeds(seeds: int, where: str) -> None:
    """Refuse numbers of seeds that cannot be run.

    Raises:
        UserError: fewer than 1 or more than 1000.
    """
    if not 1 <= seeds <= 1000:
        raise UserError(f"{seeds} seeds cannot be run", where, "choose from 1 to 1000; under 3 has no interval")


def check_recipe(recipe: Recipe) -> None:
    """Refuse numbers with which nothing can be trained.

    Raises:
        UserError: a value outside its range, an unknown optimiser, schedule or precision.
    """
    length, rule, most = recipe.length, recipe.augmentation, float("inf")
    least = 0.01 if isinstance(length, Epochs) else 1
    lengths = {f"length's {name}": (value, least, most) for name, value in vars(length).items()}
    ranges: dict[str, tuple[float, float, float]] = {
        "batch": (recipe.batch, 1, 65_536), "lr": (recipe.lr, 0, most), "weight_decay": (recipe.weight_decay, 0, most),
        "warmup": (recipe.warmup, 0, 0.99), "label_smoothing": (recipe.label_smoothing, 0, 1),
        "ema": (0.0 if recipe.ema is None else recipe.ema, 0, 1), "crop_px": (rule.crop_px, 0, recipe.image_px - 1),
        "cutout_px": (rule.cutout_px, 0, recipe.image_px), "colour": (rule.colour, 0, 1), "scale": (rule.scale, 0.01, 1), **lengths,
    }  # fmt: skip
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            to = "up" if high == most else f"to {high}"
            raise UserError(f"{name} = {value} is impossible", f"recipe {recipe.name}", f"choose from {low} {to}")
    words = {
        "optimiser": ("muon", "sgd", "adamw"),
        "schedule": ("cosine", "one-cycle", "steps"),
        "precision": ("auto", "bf16", "fp32"),
    }
    for name, known in words.items():
        if vars(recipe)[name] not in known:
            raise UserError(
                f"there is no {name} {vars(recipe)[name]!r}", f"recipe {recipe.name}", f"known: {', '.join(known)}"
            )


def reference_of(study: Study) -> str:
    """The condition that controls are built from: the declared one, else the last."""
    return study.reference or str(list(study.conditions)[-1])


def named_conditions(study: Study) -> tuple[NamedCondition, ...]:
    """The study's conditions in order, then its controls."""
    levels = study.conditions.items()
    named = [NamedCondition(str(k), d, False, None if isinstance(k, str) else float(k)) for k, d in levels]
    at_reference = {c.name: c.design for c in named}[reference_of(study)]
    made: Mapping[str, Design | None] = {
        "scratch": None,
        "random-features": None,
        "shuffled-labels": designs.shuffled(at_reference) if at_reference else None,
        "a/a": at_reference,
    }
    return (*named, *(NamedCondition(control, made[control], True) for control in study.controls))


def source_key(network: str) -> str:
    """The key of a network's accuracy on the source's own held-out images."""
    return digest("source accuracy", TRANSFER, network)


def networks_of_cells(plan: Plan) -> dict[str, str]:
    """The key of every cell of the plan, in order, to the key of the network that it belongs to."""
    trained = {t.key: t.key for t in plan.trainings}
    return {**trained, **{source_key(key): key for key in trained}, **{t.key: t.cell.network for t in plan.transfers}}


def cohorts(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Network keys in groups that are claimed and trained together; they follow from the plan alone.

    All networks of a plan share its recipe, so any may be trained together: they are taken in order, in groups of
    one size for each kind of device. Networks that are not trained are alone.
    """
    order = {key: i for i, key in enumerate(dict.fromkeys(t.cell.network for t in plan.transfers))}
    trained = sorted(dict.fromkeys(t.key for t in plan.trainings), key=lambda key: order.get(key, len(order)))
    size, known = COHORT[plan.device], set(trained)
    untrained = [key for key in order if key not in known]
    groups = [tuple(trained[i : i + size]) for i in range(0, len(trained), size)] + [(key,) for key in untrained]
    return tuple(sorted(groups, key=lambda group: order.get(group[0], len(order))))


def _protocols_of(control: str, study: Study, n_images: int) -> list[Protocol]:
    """Random features are measured frozen; scratch trains everything, at the shots that the study asks for."""
    detecting = [detected(p, control) for p in study.protocols if p.kind == "detect"]
    others = [p for p in study.protocols if p.kind != "detect"]
    if control == "random-features":
        return [p for p in others if p.kind != "finetune"] + detecting
    if finetuning := [p for p in others if p.kind == "finetune"]:
        return finetuning + detecting
    knobs = {"examples": min(SCRATCH_EXAMPLES, most_seen(study.recipe, n_images) // 2)}
    return [Protocol("finetune", shots, knobs) for shots in dict.fromkeys(p.shots for p in others)] + detecting


def detected(protocol: Protocol, condition: str) -> Protocol:
    """A ``detect`` as a condition or control has it: at the same length, rate and proposals.

    "scratch" trains every layer and its norms by each batch's own statistics; under "random-features" the backbone stays
    as it was drawn, and only what stands around it is trained.
    """
    own: dict[str, dict[str, int | float | str]] = {
        "scratch": {"frozen": 0, "norms": "trained"},
        "random-features": {"frozen": "all", "norms": "frozen"},
    }
    return replace(protocol, knobs={**protocol.knobs, **own[condition]}) if condition in own else protocol


def compared(plan: Plan, target: PackRef, condition: str) -> Protocol | None:
    """The protocol under which a condition's network is compared on a target; None where it is not.

    It is the study's first, and the first ``detect`` on targets with boxes; scratch has its own, at as many shots.
    """
    first = next((p for p in plan.protocols if (p.kind == "detect") == target.has_boxes), None)
    if first is None or first.kind == "detect":
        return first and detected(first, condition)
    if condition != "scratch":
        return first
    own = [t.cell.protocol for t in plan.transfers if t.condition == "scratch" and t.cell.protocol.kind != "detect"]
    return next((p for p in own if p.shots == first.shots), own[0] if own else first)


def most_seen(recipe: Recipe, n_images: int) -> int:
    """The most examples that a recipe shows a network on a set of so many images."""
    length = recipe.length
    if isinstance(length, Epochs):
        return round(length.n * n_images)
    return length.n if isinstance(length, Examples) else length.max_examples


def _transfers(
    condition: str, network: str, seed: int, pairs: Sequence[tuple[PackRef, Protocol]], untrained: RandomNetwork | None
) -> list[Transfer]:
    made: list[Transfer] = []
    for target, protocol in pairs:
        cell = TransferCell(network, target.digest, protocol, seed)
        made.append(Transfer(digest("transfer", TRANSFER, ENGINE, cell), condition, seed, cell, untrained))
    return made
