"""From a study and its packs to cells, each with a key: the hash of everything that its result depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from transferlab import designs
from transferlab.contrasts import resolve
from transferlab.definitions import Table
from transferlab.engine.backbones import BACKBONES
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.errors import UserError
from transferlab.identity import DESIGN, ENGINE, TRANSFER, digest
from transferlab.images.sources import SOURCES
from transferlab.origins import ORIGINS
from transferlab.origins.definition import Asked, Origin, repeated_name
from transferlab.planned import (
    BroughtDefinition,
    NamedCondition,
    Plan,
    PlannedProtocol,
    RandomNetwork,
    SourceFacts,
    Training,
    Transfer,
)
from transferlab.specs import (
    TEST,
    TRAIN,
    VAL,
    Contrast,
    Epochs,
    Examples,
    Pack,
    PretrainCell,
    Protocol,
    Recipe,
    Study,
    Subset,
    TargetFacts,
    TransferCell,
)
from transferlab.taxonomy.tree import Taxonomy
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.protocols import PROTOCOLS, definition_of
from transferlab.validate import SOURCE_ITSELF, source_apart, validate

# Networks trained at once on one device. On the CPU one network uses all cores. On CUDA each has a stream; torch has 32
# streams, and sixteen leave enough for copies.
COHORT = {"cpu": 1, "cuda": 16}
REPLICATE_SEED = 1_000_000  # added to a twin's seed: other classes and images, another initialisation and order


@dataclass(frozen=True)
class Place:
    """The kind of device that cells are planned for, which is part of their keys."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]


def make_plan(
    study: Study,
    source: tuple[SourceFacts, Pack],
    targets: Sequence[TargetFacts],
    place: Place,
    keep: Callable[[Subset], None],
) -> Plan:
    """Turn a study into its plan.

    Args:
        source: the source's facts and its opened pack.
        targets: in the study's order.
        keep: is called with every subset drawn, for example to store it.

    Raises:
        UserError: as ``validate``; a level that the source does not allow; a control that the source does not allow.
    """
    validate(study, source[1].taxonomy, targets)
    if study.recipe.precision != "auto":
        place = replace(place, precision=study.recipe.precision)
    drawn: dict[tuple[str, int], str] = {}
    conditions = named_conditions(study)
    _can_choose(conditions, source[1], targets)
    facts: dict[str, NamedCondition] = {}
    for seed in range(study.seeds):
        draws = {twin: designs.Draw(source[1], seed, int(twin)) for twin in (False, True)}  # shared by the conditions
        for condition in conditions:
            facts.setdefault(condition.name, condition)
            if condition.repeats:
                facts[condition.name] = _with_sizes_of(facts[condition.repeats], condition)
            if condition.repeats or condition.design is None:
                continue
            subset = designs.take(condition.design, draws[_is_twin(condition)])
            keep(subset)
            if not seed:
                facts[condition.name] = _with_sizes(condition, subset, source[1].taxonomy)
            drawn[condition.name, seed] = subset.digest
    return _plan_of(study, source, targets, place, list(facts.values()), drawn)


def lesser_plan(plan: Plan, study: Study, source: tuple[SourceFacts, Pack], targets: Sequence[TargetFacts]) -> Plan:
    """The plan of a study from that of a larger one; draws nothing.

    Args:
        plan: of the same study with more seeds, conditions or examples, for these images.
    """
    drawn = {(t.condition, t.seed): t.cell.subset for t in plan.trainings}
    levels = {*map(str, study.conditions)}
    conditions = [
        c for c in plan.conditions if c.name in levels or (c.is_control and (not c.repeats or c.repeats in levels))
    ]
    return _plan_of(study, source, targets, Place(plan.device, plan.precision), conditions, drawn)


def _plan_of(
    study: Study, source: tuple[SourceFacts, Pack], targets: Sequence[TargetFacts], place: Place,
    conditions: Sequence[NamedCondition], drawn: Mapping[tuple[str, int], str],
) -> Plan:  # fmt: skip
    """The plan, given the digest of each subset by its condition and seed."""
    cells = _Cells(study, source, _apart(study, targets), place)
    for seed in range(study.seeds):
        for condition in conditions:
            if condition.repeats:
                cells.repeat(condition, seed)
            elif condition.design is None:
                cells.add_untrained(condition, seed)
            else:
                cells.add_trained(condition, drawn[condition.name, seed], seed, _is_twin(condition))
    names = [c.name for c in conditions if not c.is_control]
    contrasts = resolve(study.contrasts, names, [c.name for c in conditions if c.is_control and not c.repeats])
    _must_be_measured(contrasts, cells.transfers, cells.targets)
    plan = Plan(
        identity="", name=study.name, question=study.question, source=source[0], targets=tuple(cells.targets),
        conditions=tuple(conditions), contrasts=contrasts,
        reference=reference_of(study), seeds=study.seeds, unit=study.unit, recipe=study.recipe,
        protocols=tuple(_planned(p) for p in study.protocols), device=place.device, precision=place.precision,
        trainings=tuple(cells.trainings), transfers=tuple(cells.transfers), code=(DESIGN, ENGINE, TRANSFER),
        notes=tuple(study.notes), brought=tuple(_brought(study, conditions)),
    )  # fmt: skip
    return replace(plan, identity=identity_of(plan, study.metric))


def _is_twin(condition: NamedCondition) -> bool:
    return condition.is_control and ORIGINS[condition.control].twin


def identity_of(plan: Plan, metric: str) -> str:
    """The digest of a plan's question, data and recipe; ``metric`` is the one that its study asks for, or ""."""
    return digest(
        "study", plan.name, plan.source.digest, [t.digest for t in plan.targets], list(plan.conditions), plan.recipe,
        [p.protocol for p in plan.protocols], plan.device, plan.precision, *([metric] if metric else []),
    )  # fmt: skip


def _can_choose(conditions: Sequence[NamedCondition], source: Pack, targets: Sequence[TargetFacts]) -> None:
    """Refuse a control that chooses among networks by the source's validation images if it has none, or if they are tested."""
    repeated = next((c for c in conditions if c.repeats), None)
    if repeated is None:
        return
    why = f"the control {repeated.control} chooses learning rates by the source's validation images"
    if not len(source.rows(VAL)):
        raise UserError(f"{why}, and the source has none", source.name,
                        "add a val split or ?resplit=yes to the source, or leave the control out")  # fmt: skip
    if not len(source.rows(TEST)) and any(target.own_classes for target in targets):
        raise UserError(f"{why}, and these are the test images of the target {SOURCE_ITSELF}", source.name,
                        "add a test split or ?resplit=yes to the source, or leave the control or the target out")  # fmt: skip


def _must_be_measured(
    contrasts: Sequence[Contrast], transfers: Sequence[Transfer], targets: Sequence[TargetFacts]
) -> None:
    """Refuse contrasts with a control that the protocol by which conditions are compared does not measure, or on other images."""
    folds = {target.digest: target.folds for target in targets}
    elsewhere = {
        t.condition
        for t in transfers
        if t.compared and folds[t.cell.target] and t.cell.protocol.knobs.get("folds") != folds[t.cell.target]
    }
    measured = {t.condition for t in transfers if t.compared}
    for contrast in contrasts:
        if unmeasured := [name for name, weight in contrast.weights.items() if weight and name not in measured]:
            raise UserError(
                f"the first protocol does not measure {unmeasured[0]}, so that it cannot be compared",
                f"the contrast {contrast.name!r}", "name another protocol first, or leave the contrast out",
            )  # fmt: skip
        if apart := [name for name, weight in contrast.weights.items() if weight and name in elsewhere]:
            raise UserError(
                f"{apart[0]} is not measured in folds but on the target's test split, so that it cannot be compared",
                f"the contrast {contrast.name!r}", "leave folds or the contrast out",
            )  # fmt: skip


@dataclass(eq=False)
class _Cells:
    """The cells of a plan as they are made, condition by condition."""

    study: Study
    source: tuple[SourceFacts, Pack]
    targets: Sequence[TargetFacts]
    place: Place
    trainings: list[Training] = field(default_factory=list[Training])
    transfers: list[Transfer] = field(default_factory=list[Transfer])

    def add_trained(self, condition: NamedCondition, subset: str, seed: int, twin: bool) -> None:
        """One pre-training and its transfers."""
        own_seed, place, recipe = seed + (REPLICATE_SEED if twin else 0), self.place, self.study.recipe
        cell = PretrainCell(subset, recipe, own_seed, place.device, place.precision, _codes(_of_recipe(recipe)))
        self._train(condition, seed, cell)

    def repeat(self, condition: NamedCondition, seed: int) -> None:
        """The pre-training of the condition that this one repeats, at another learning rate, and its transfers."""
        first = next(t.cell for t in reversed(self.trainings) if (t.condition, t.seed) == (condition.repeats, seed))
        lr = first.recipe.lr / (ORIGINS[condition.control].divides_lr or 1.0)
        self._train(condition, seed, replace(first, recipe=replace(first.recipe, lr=lr)))

    def _train(self, condition: NamedCondition, seed: int, cell: PretrainCell) -> None:
        training = Training(digest("pretrain", ENGINE, cell), condition.name, seed, cell)
        self.trainings.append(training)
        self._transfer(condition, training.key, seed, None)

    def add_untrained(self, condition: NamedCondition, seed: int) -> None:
        """The transfers of a network that is not pre-trained."""
        prepared = condition.name if ORIGINS[condition.name].prepare is not None else ""
        used = [*_of_recipe(self.study.recipe), *([(ORIGINS, prepared)] if prepared else [])]
        place, source = self.place, self.source[0].digest
        network = RandomNetwork(self.study.recipe, seed, source, place.device, place.precision, prepared, _codes(used))
        self._transfer(condition, digest("untrained", ENGINE, network), seed, network)

    def _transfer(self, condition: NamedCondition, network: str, seed: int, untrained: RandomNetwork | None) -> None:
        measured = [(asked, self._measured(condition, asked)) for asked in self.study.protocols]
        for target in self.targets:
            first = first_of(self.study.protocols, target)
            compared = next(own for asked, own in measured if asked == first)
            for protocol in _distinct([own for _, own in measured if own is not None and suits(own, target)]):
                if condition.repeats and protocol != compared:
                    continue  # only contrasts need it, and they compare by one protocol
                metric = target.metric if target.asked else ""
                codes = _codes([(PROTOCOLS, protocol.kind), *([(METRICS, metric)] if metric else [])])
                cell = TransferCell(network, target.digest, protocol, seed, metric, codes)
                key, label = digest("transfer", TRANSFER, ENGINE, cell), definition_of(protocol).label(protocol)
                self.transfers.append(Transfer(key, condition.name, seed, cell, untrained, label, protocol == compared))

    def _measured(self, condition: NamedCondition, asked: Protocol) -> Protocol | None:
        """The protocol by which a condition's networks are measured if the study asks for this one; None if they are not."""
        if not condition.is_control:
            return asked
        n_examples = most_seen(self.study.recipe, len(self.source[1].rows(TRAIN)))
        return ORIGINS[condition.control].measured(Asked(asked, self.study.protocols, n_examples))


def suits(protocol: Protocol, target: TargetFacts) -> bool:
    """Whether a plan measures a target by a protocol."""
    definition = definition_of(protocol)
    if definition.boxes != target.has_boxes:
        return False
    return target.own_classes if definition.own_classes else not target.apart


def first_of(protocols: Sequence[Protocol], target: TargetFacts) -> Protocol:
    """The protocol by which conditions are compared on a target: the study's first that suits it."""
    return next(p for p in protocols if suits(p, target))


def _apart(study: Study, targets: Sequence[TargetFacts]) -> list[TargetFacts]:
    """The targets, with the source set apart if it is one of several, for protocols of its own classes."""
    apart = source_apart(study, len(targets))
    leads = apart and next(d for p in study.protocols if (d := definition_of(p)).own_classes).leads
    return [replace(t, apart=apart, leads=leads) if t.own_classes else t for t in targets]


def _distinct(protocols: Sequence[Protocol]) -> list[Protocol]:
    return [p for i, p in enumerate(protocols) if p not in protocols[:i]]


def _planned(protocol: Protocol) -> PlannedProtocol:
    d = definition_of(protocol)
    return PlannedProtocol(protocol, d.label(protocol), d.described(protocol), d.boxes, d.own_classes, d.beside)


Used = tuple[Table[Any], str]


def _codes(used: Sequence[Used]) -> tuple[str, ...]:
    """Digests of the code of definitions from outside the package, which are part of keys."""
    found = [table.brought(name) for table, name in used]
    return tuple(sorted(b.code for b in found if b is not None))


def _of_recipe(recipe: Recipe) -> list[Used]:
    """The definitions that a recipe names."""
    return [(BACKBONES, recipe.backbone.partition(":")[0]), (OPTIMISERS, recipe.optimiser)]


def _brought(study: Study, conditions: Sequence[NamedCondition]) -> Iterator[BroughtDefinition]:
    """All definitions from outside the package that a study uses."""
    used: list[Used] = [(PROTOCOLS, p.kind) for p in study.protocols]
    used += [(ORIGINS, c.control) for c in conditions if c.is_control]
    used += [(designs.DESIGNS, designs.check(c.design)[0].name) for c in conditions if c.design is not None]
    used += [(METRICS, study.metric)] if study.metric else []
    used += [(SOURCES, spec.partition("?")[0].partition(":")[0]) for spec in (study.source, *study.targets)]
    for table, name in dict.fromkeys([*used, *_of_recipe(study.recipe)]):
        if brought := table.brought(name):
            yield BroughtDefinition(table.kind, name, brought.place, brought.code)


def reference_of(study: Study) -> str:
    """The condition that controls are built from: the declared one or, by default, the last."""
    return study.reference or str(list(study.conditions)[-1])


def named_conditions(study: Study) -> tuple[NamedCondition, ...]:
    """The study's conditions in order, then its controls."""
    named = [
        NamedCondition(str(level), design, False, None if isinstance(level, str) else float(level), str(level))
        for level, design in study.conditions.items()
    ]
    asked, at_reference = tuple(named), next(c.design for c in named if c.name == reference_of(study))
    for origin in (ORIGINS[name] for name in study.controls):
        if origin.divides_lr is not None:
            named += [_repeated(condition, origin) for condition in asked]
            continue
        design = None if origin.design is None or at_reference is None else origin.design(at_reference)
        named.append(NamedCondition(
            origin.name, design, True, None, origin.title or origin.name, origin.explained, origin.colour, tuple(origin.dash), origin.is_floor,
        ))  # fmt: skip
    return tuple(named)


def _repeated(condition: NamedCondition, origin: Origin) -> NamedCondition:
    """A condition once more, at another learning rate."""
    name = repeated_name(condition.name, origin)
    return NamedCondition(
        name, condition.design, True, None, name, origin.title, origin.colour, tuple(origin.dash),
        origin=origin.name, repeats=condition.name,
    )  # fmt: skip


def _with_sizes(condition: NamedCondition, subset: Subset, taxonomy: Taxonomy) -> NamedCondition:
    """The condition with the sizes of its first subset, and the shares of labels that merge classes."""
    facts, shares = designs.facts(subset), ()
    if not condition.is_control and any(len(members) > 1 for members in subset.members):
        sizes = np.bincount(subset.labels)
        order = sorted(range(len(sizes)), key=lambda label: (-int(sizes[label]), label))
        names = _display_names(subset.label_names, taxonomy)
        shares = tuple((names[label], float(sizes[label] / sizes.sum())) for label in order)
    return replace(
        condition, n_images=facts.n_images, n_labels=facts.n_labels, effective_labels=facts.effective_labels,
        largest_share=facts.largest_share, shares=shares,
    )  # fmt: skip


def _with_sizes_of(known: NamedCondition, condition: NamedCondition) -> NamedCondition:
    """The condition with the sizes of the one whose subsets it has."""
    return replace(
        condition, n_images=known.n_images, n_labels=known.n_labels, effective_labels=known.effective_labels,
        largest_share=known.largest_share,
    )  # fmt: skip


def _display_names(labels: Sequence[str], taxonomy: Taxonomy) -> list[str]:
    """Each label's first name; a label with others below it holds the rest of its node."""
    above = {node for label in labels for node in taxonomy.chain(label)[1:]}
    return [taxonomy.names[label].split(",")[0] + (" (the rest)" if label in above else "") for label in labels]


def source_key(network: str) -> str:
    """The key of a network's accuracy on the source's own held-out images."""
    return digest("source accuracy", TRANSFER, network)


def networks_of_cells(plan: Plan) -> dict[str, str]:
    """Each cell's key, in order, to the key of its network."""
    trained = {t.key: t.key for t in plan.trainings}
    return {**trained, **{source_key(key): key for key in trained}, **{t.key: t.cell.network for t in plan.transfers}}


def cohorts(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Network keys in groups that are claimed and trained together; they depend on the plan alone.

    Any networks of one recipe may be trained together: they are taken in order, in groups whose size depends on the kind of
    device. Untrained networks are groups of one.
    """
    order = {key: i for i, key in enumerate(dict.fromkeys(t.cell.network for t in plan.transfers))}
    trained = sorted(dict.fromkeys(t.key for t in plan.trainings), key=lambda key: order.get(key, len(order)))
    size, recipes = COHORT[plan.device], {t.key: t.cell.recipe for t in plan.trainings}
    alike = [[key for key in trained if recipes[key] == recipe] for recipe in dict.fromkeys(recipes.values())]
    untrained = [key for key in order if key not in recipes]
    groups = [tuple(keys[i : i + size]) for keys in alike for i in range(0, len(keys), size)]
    groups += [(key,) for key in untrained]
    return tuple(sorted(groups, key=lambda group: order.get(group[0], len(order))))


def most_seen(recipe: Recipe, n_images: int) -> int:
    """The most examples that a network sees under a recipe, given the number of images."""
    length = recipe.length
    if isinstance(length, Epochs):
        return round(length.n * n_images)
    return length.n if isinstance(length, Examples) else length.max_examples
