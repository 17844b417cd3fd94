"""From what a user typed to a plan in a store: packs, levels, recipe, cells; every mistake is told before any work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from transferlab.answers.contrast import MEAN
from transferlab.answers.published import PREFIX
from transferlab.designs import SubsetFacts, facts
from transferlab.engine import backbones
from transferlab.engine.recipes import RECIPES
from transferlab.engine.recipes import recipe as named_recipe
from transferlab.errors import ImpossibleQuestion, UserError
from transferlab.extensions import load_installed
from transferlab.identity import digest, plain
from transferlab.images.pack import remarks
from transferlab.images.spec import parse_spec
from transferlab.outcomes.store import Store
from transferlab.plan import Place, make_plan, most_seen
from transferlab.planned import Plan, SourceFacts, restored
from transferlab.questions import QUESTIONS, Question, load
from transferlab.runners import packs
from transferlab.runners.machine import Machine, here
from transferlab.specs import TRAIN, Epochs, Examples, Pack, Protocol, Ragged, Recipe, Study, Subset, TargetFacts
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.protocols import PROTOCOLS, definition_of, detect
from transferlab.transfer.targets import Target, take_shots, view
from transferlab.validate import check_seeds, validate

OWN = "source"  # what tables call a network's accuracy on its own source
SOURCE_ITSELF = "source"  # a target that is the source's own held-out images, with its leaves as classes


@dataclass(frozen=True)
class Wanted:
    """What the user asked for: a built-in question's name, a study file or a study; None where those decide."""

    study: str | Study
    source: str | None
    targets: Sequence[str]
    store: Path
    seeds: int | None = None
    size: int | None = None
    backbone: str | None = None
    recipe: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    skip_bad: bool = False
    protocol: str | None = None  # in place of the study's own; those of the source stay
    paper: bool = False  # a built-in question at the paper's levels
    epochs: bool = False  # at a fixed number of passes over each subset, not of examples seen


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan with what running it needs, and the store's earlier plans of its name.

    ``subsets`` holds the sizes of every subset drawn, by its digest; the subsets themselves lie in the store.
    """

    plan: Plan
    store: Store
    machine: Machine
    study_file: str | None
    subsets: Mapping[str, SubsetFacts]
    earlier: Sequence[Plan] = ()


def prepare(wanted: Wanted, progress: Callable[[str, int, int | None], None]) -> Prepared:
    """Check the request, make or find its packs, draw its subsets, keep its plan.

    Args:
        progress: is told the spec being packed, images done, and images in all where known.

    Raises:
        UserError: anything that the user can get wrong.
    """
    load_installed()
    found = load(wanted.study) if isinstance(wanted.study, str) else wanted.study
    if wanted.paper and isinstance(found, Study):
        raise UserError("--paper is for built-in studies", _title(wanted), f"they are {', '.join(QUESTIONS)}")
    machine = here(wanted.device)
    size, source_text, target_texts = _asked(found, wanted)
    store = Store.open(wanted.store, create=True)

    def obtain(text: str) -> tuple[SourceFacts, Pack]:
        return packs.obtain(store, text, size, skip_bad=wanted.skip_bad, progress=progress)

    known, source = obtain(source_text)
    _check_source(source, source_text)
    found_packs = [obtain(text) for text in dict.fromkeys(target_texts) if text != SOURCE_ITSELF]
    obtained = list({pack.digest: (held.spec, pack) for held, pack in found_packs}.values())  # equal images, one target
    study = found if isinstance(found, Study) else _posed(found, wanted.paper, source, [pack for _, pack in obtained])
    recipe = _recipe(study.recipe, wanted, size, source, built_in=not isinstance(found, Study))
    study = replace(
        study,
        name=f"{study.name}-epochs" if wanted.epochs else study.name,
        source=source_text,
        seeds=study.seeds if wanted.seeds is None else wanted.seeds,
        recipe=_at_fixed_epochs(recipe, source) if wanted.epochs else recipe,
        protocols=_protocols(study, wanted, [pack for _, pack in obtained]),
        targets=(*(t for t in study.targets if t == SOURCE_ITSELF), *(spec for spec, _ in obtained)),
    )
    validate(study)
    _check_maps(study)
    if SOURCE_ITSELF in study.targets:
        obtained = [(SOURCE_ITSELF, source), *(each for each in obtained if each[1].digest != source.digest)]
    views = [view(pack, own_classes=pack.digest == source.digest) for _, pack in obtained]
    targets = target_facts(study, [spec for spec, _ in obtained], views, source)
    _check_shots(study, views)
    keep_labels(store, targets, views)
    sizes: dict[str, SubsetFacts] = {}
    with store.staged_subsets() as keep:  # an impossible plan leaves none of them

        def kept(subset: Subset) -> None:
            if subset.digest not in sizes:
                sizes[subset.digest] = facts(subset)
                keep(subset)

        plan = make_plan(study, (known, source), targets, Place(machine.device, machine.precision), kept)
    earlier = _earlier(store, plan.name)
    store.write_study(plan.identity, plain(plan))
    return Prepared(plan, store, machine, _study_file(wanted), sizes, earlier)


def _asked(found: Question | Study, wanted: Wanted) -> tuple[int, str, list[str]]:
    """Size of the images, source and targets: what the user says, else the study; checked as far as words go."""
    own_px = (found.recipe if isinstance(found, Study) else named_recipe(wanted.recipe or "small")).image_px
    size = own_px if wanted.size is None else wanted.size
    if not 8 <= size <= 1024:
        raise UserError(f"images of {size} px cannot be used", "--size", "choose from 8 to 1024, for example 32 or 64")
    source_text = wanted.source or (found.source if isinstance(found, Study) else "")
    if not source_text:
        raise UserError("the study has no source", _title(wanted), "name one, for example --source toy")
    target_texts = list(wanted.targets)
    if isinstance(found, Study):
        target_texts = target_texts or list(found.targets)
    if not target_texts and (isinstance(found, Study) or found.needs_target):
        raise UserError("the study has no target", _title(wanted), "name one, for example --target digits")
    _check_words(found, wanted, size, [source_text, *target_texts])
    return size, source_text, target_texts


def _posed(question: Question, paper: bool, source: Pack, targets: Sequence[Pack]) -> Study:
    """The study that a question asks of these images; at the paper's levels its name says so."""
    try:
        if not paper:
            return question.ask(source, targets)
        study = question.paper(source, targets)
        return replace(study, name=PREFIX + study.name)
    except UserError as error:
        raise ImpossibleQuestion(error.what, error.where, error.remedy) from error


def _check_words(found: Question | Study, wanted: Wanted, size: int, texts: Sequence[str]) -> None:
    """Refuse what no image could make right, before any is read."""
    if wanted.seeds is not None:
        check_seeds(wanted.seeds, _title(wanted))
    if isinstance(found, Study):
        validate(replace(found, targets=texts[1:]))
    own = found.recipe if isinstance(found, Study) else Recipe()
    if wanted.recipe is not None:
        own = named_recipe(wanted.recipe)
    backbone = wanted.backbone or own.backbone
    definition, detail = backbones.find(backbone)
    if definition.check is not None:
        definition.check(detail, size)
    else:
        backbones.build(backbone, size, 0)  # other people's lists of networks; loads torch
    for text in dict.fromkeys(texts):
        if text != SOURCE_ITSELF:
            parse_spec(text).check_there()


def _check_source(source: Pack, text: str) -> None:
    if source.boxes is not None:
        raise UserError("the source has boxes, and networks are pre-trained on class labels", text,
                        "give it as a target, and images with classes as the source")  # fmt: skip
    if not (source.split == TRAIN).any():
        raise UserError("the source has no training images", text, "add a train split, or ?resplit=yes")


def target_facts(study: Study, specs: Sequence[str], views: Sequence[Target], source: Pack) -> list[TargetFacts]:
    """The targets as a plan keeps them, each with a name of its own."""
    names = [
        f"{source.name}'s own classes" if spec == SOURCE_ITSELF else t.pack.name
        for spec, t in zip(specs, views, strict=True)
    ]
    taken = {OWN, MEAN, *(name for name in names if names.count(name) > 1)}
    found: list[TargetFacts] = []
    for spec, name, target in zip(specs, names, views, strict=True):
        pack, own = target.pack, target.pack.digest == source.digest
        asked = METRICS.get(study.metric)
        metric = (
            asked
            if asked is not None and asked.labels == target.kind and not (own and len(views) > 1)
            else target.metric
        )
        labels = pack.labels[target.test]
        images = pack.images
        pixels = images.sizes.astype(float).prod(1).mean() if isinstance(images, Ragged) else pack.image_px**2
        found.append(TargetFacts(
            spec, pack.digest, f"{name} ({spec})" if name in taken else name, metric.name, metric.chance(labels),
            metric is not target.metric, target.n_classes, len(target.train), len(target.val), len(target.test),
            target.kind == "boxes", target.kind == "many", own, pixels=float(pixels), notes=tuple(remarks(pack)),
            labels=digest("test labels", pack.digest, own) if target.kind == "one" else "",
            rows=metric.rows if metric.each is not None and metric.weights is None else "",
        ))  # fmt: skip
    return found


def keep_labels(store: Store, targets: Sequence[TargetFacts], views: Sequence[Target]) -> None:
    """Keep the targets' test labels, so that answers need no pack."""
    for target, held in zip(targets, views, strict=True):
        if target.labels:
            store.write_labels(target.labels, held.test, held.pack.labels[held.test].astype(np.int32))


def _protocols(study: Study, wanted: Wanted, targets: Sequence[Pack]) -> Sequence[Protocol]:
    """The study's protocols, or the one asked for; ``detect`` where a target has boxes, and nothing else where all have.

    Raises:
        UserError: ``detect``, and no target has boxes; another protocol asked for, and all have.
    """
    has_boxes = [pack.boxes is not None for pack in targets]
    detecting = [p for p in study.protocols if definition_of(p).boxes]
    others = [p for p in study.protocols if not definition_of(p).boxes]
    if wanted.protocol is not None:
        asked = PROTOCOLS.find(wanted.protocol, "--protocol")
        if asked.boxes or asked.own_classes:
            raise UserError(
                f"{asked.name} cannot stand in place of a study's protocols",
                "--protocol",
                "choose one for class labels",
            )
        others = [Protocol(asked.name), *(p for p in others if definition_of(p).own_classes)]
    if not any(has_boxes):
        if detecting:
            raise UserError("detect needs a target with boxes", f"study {study.name!r}",
                            "name one, for example --target 'voc:PATH?task=detection'")  # fmt: skip
        return others
    if all(has_boxes) and SOURCE_ITSELF not in study.targets:
        if wanted.protocol is not None:
            raise UserError(f"{wanted.protocol} needs a target with class labels, and every target has boxes",
                            "--protocol", "leave it out, or name a target with classes beside them")  # fmt: skip
        others = []
    return (*others, *(detecting or [detect()]))


def _check_maps(study: Study) -> None:
    """Refuse backbones that no detector can be built around, before any is pre-trained."""
    name, image_px = study.recipe.backbone, study.recipe.image_px
    if any(definition_of(p).boxes for p in study.protocols) and not backbones.find(name)[0].has_maps:
        from transferlab.transfer.detect.maps import maps_of  # loads torch

        maps_of(backbones.build(name, image_px, 0), image_px, name)


def _check_shots(study: Study, targets: Sequence[Target]) -> None:
    """Refuse more shots than a target has."""
    for target in targets:
        for shots in {p.shots for p in study.protocols if p.shots is not None} if target.kind != "boxes" else ():
            take_shots(target, shots, 0)


def _earlier(store: Store, name: str) -> list[Plan]:
    """Plans of this name that were run before; those of another version of the program say nothing."""
    found: list[Plan] = []
    for kept in store.studies().values():
        with contextlib.suppress(UserError):
            if kept["name"] == name:
                found.append(restored(kept))
    return found


def _recipe(declared: Recipe, wanted: Wanted, size: int, source: Pack, *, built_in: bool) -> Recipe:
    """The study's recipe, or the one named; built-in studies without a named one see less of small sources."""
    if wanted.recipe is not None:
        return named_recipe(wanted.recipe, backbone=wanted.backbone, image_px=size)
    chosen = replace(declared, image_px=size, backbone=wanted.backbone or declared.backbone)
    if not built_in:
        return chosen
    n_train = int((source.split == TRAIN).sum())
    whole = RECIPES["small"].length
    most = whole.n if isinstance(whole, Examples) else 250_000
    return replace(chosen, length=Examples(min(most, max(25_000, 100 * n_train))))


def _at_fixed_epochs(recipe: Recipe, source: Pack) -> Recipe:
    """As many passes over each subset as the recipe's length is over the whole source."""
    n_train = int((source.split == TRAIN).sum())
    return replace(recipe, length=Epochs(round(most_seen(recipe, n_train) / n_train, 4)))


def _study_file(wanted: Wanted) -> str | None:
    """The file that workers run for its definitions, if the study is one."""
    return wanted.study if isinstance(wanted.study, str) and wanted.study not in QUESTIONS else None


def _title(wanted: Wanted) -> str:
    return f"study {wanted.study if isinstance(wanted.study, str) else wanted.study.name}"
