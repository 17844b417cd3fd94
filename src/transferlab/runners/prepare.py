"""Prepares a study: makes or finds its packs, draws its subsets, and stores its plan, after checking what a user can get wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from transferlab.answers.estimate import MEAN
from transferlab.answers.study import OWN
from transferlab.designs import SubsetFacts, facts
from transferlab.engine import backbones
from transferlab.errors import UserError
from transferlab.extensions import load_installed
from transferlab.identity import plain
from transferlab.images.pack import described, remarks
from transferlab.images.splits import GIVEN
from transferlab.outcomes.arrays import labels_digest
from transferlab.outcomes.store import Store
from transferlab.plan import Place, lesser_plan, make_plan
from transferlab.planned import Plan
from transferlab.runners import packs
from transferlab.runners.limit import Limit, within
from transferlab.runners.machine import Machine, here
from transferlab.runners.plans import plans
from transferlab.runners.request import Request, read, study_of
from transferlab.specs import TRAIN, Pack, Ragged, Study, Subset, TargetFacts
from transferlab.transfer.folds import with_all_tested
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.protocols import definition_of
from transferlab.transfer.targets import Target, take_shots, view
from transferlab.validate import SOURCE_ITSELF, source_apart, validate


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan with what is needed to run it.

    Args:
        study_file: the full path of the study file, if the study is one.
        subsets: sizes of the plan's subsets by digest.
        earlier: the store's plans of the same name.
        budget: seconds that it may take, where the user limits them.
        images: what the source and the targets hold, in lines, by their spec.
    """

    plan: Plan
    store: Store
    machine: Machine
    study_file: str | None
    subsets: Mapping[str, SubsetFacts]
    earlier: Sequence[Plan] = ()
    images: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    budget: float | None = None


def prepare(
    request: Request, progress: Callable[[str, int, int | None], None], spent: Callable[[], float] = lambda: 0.0
) -> Prepared:
    """Check a request, make or find its packs, draw its subsets, and store its plan.

    Args:
        progress: receives the spec being packed, images done, and all images (None where unknown).
        spent: seconds of the budget that have passed.

    Raises:
        UserError: anything that the user can get wrong.
    """
    load_installed()
    study_file, folder = request.study_file, request.store.absolute()  # now, since a study file may change the folder
    wording, machine = read(request), here(request.device)
    store = Store.open(folder, create=True)
    obtain = partial(packs.obtain, store, size_px=wording.size_px, skip_bad=request.skip_bad, progress=progress)
    known, source = obtain(wording.source)
    _check_source(source, wording.source)
    found = [obtain(text) for text in dict.fromkeys(wording.targets) if text != SOURCE_ITSELF]
    obtained = list({pack.digest: (held.spec, pack) for held, pack in found}.values())  # equal images are one target
    study = study_of(wording, request, source, obtained)
    validate(study)
    _check_maps(study)
    if SOURCE_ITSELF in study.targets:
        obtained = [(SOURCE_ITSELF, source), *(each for each in obtained if each[1].digest != source.digest)]
    views = [view(pack, own_classes=pack.digest == source.digest) for _, pack in obtained]
    _check_shots(study, views)
    views = [_tested(study, target, target.pack.digest == source.digest) for target in views]
    targets = target_facts(study, [spec for spec, _ in obtained], views, source)
    keep_labels(store, targets, views)
    sizes: dict[str, SubsetFacts] = {}
    with store.staged_subsets() as keep:  # stores nothing if the plan turns out to be impossible

        def kept(subset: Subset) -> None:
            if subset.digest not in sizes:
                sizes[subset.digest] = facts(subset)
                keep(subset)

        plan = make_plan(study, (known, source), targets, Place(machine.device, machine.precision), kept)
        if wording.budget is not None:
            lesser = partial(lesser_plan, plan, source=(known, source), targets=targets)
            limit = Limit(wording.budget, spent, fixed_by(request), store, machine, study_file)
            plan = within(limit, study, plan, lesser)
    earlier = _earlier(store, plan.name)
    store.write_study(plan.identity, plain(plan))
    images = {known.spec: described(source), **{spec: described(pack) for spec, pack in obtained if pack is not source}}
    return Prepared(plan, store, machine, study_file, sizes, earlier, images, wording.budget)


def fixed_by(request: Request) -> frozenset[str]:
    """What the user has fixed in so many words, which no budget changes."""
    fixed = {"seeds": request.seeds, "length": request.examples}
    return frozenset(name for name, value in fixed.items() if value is not None)


def _check_source(source: Pack, text: str) -> None:
    if source.boxes is not None:
        raise UserError("the source has boxes, and networks are pre-trained on class labels", text,
                        "name it as a target, and images with classes as the source")  # fmt: skip
    if not (source.split == TRAIN).any():
        raise UserError("the source has no training images", text, "add a train split, or ?resplit=yes")


def _tested(study: Study, target: Target, own: bool) -> Target:
    """A target with the test images of the protocol by which conditions are compared.

    Raises:
        UserError: it cannot be divided into the folds that one of the study's protocols asks for.
    """
    most = max((definition_of(p).folds(p) for p in study.protocols), default=0)
    if target.kind != "one" or own or not most:
        return target
    whole = with_all_tested(target, most)
    return whole if _n_folds(study, target, own) else target


def _n_folds(study: Study, target: Target, own: bool) -> int:
    """The number of folds of the protocol by which conditions are compared; 0 if it measures the test split."""
    asked = [p for p in study.protocols if not (d := definition_of(p)).boxes and not d.own_classes]
    return definition_of(asked[0]).folds(asked[0]) if asked and target.kind == "one" and not own else 0


def target_facts(study: Study, specs: Sequence[str], views: Sequence[Target], source: Pack) -> list[TargetFacts]:
    """The facts of a plan's targets, with unique names."""
    names = [f"{source.name}'s own classes" if spec == SOURCE_ITSELF else t.pack.name
             for spec, t in zip(specs, views, strict=True)]  # fmt: skip
    taken = {OWN, MEAN, *(name for name in names if names.count(name) > 1)}
    found: list[TargetFacts] = []
    for spec, name, target in zip(specs, names, views, strict=True):
        pack, own = target.pack, target.pack.digest == source.digest
        asked = METRICS.get(study.metric)
        applies = asked is not None and asked.labels == target.kind and not (own and source_apart(study, len(views)))
        metric = asked if asked and applies else target.metric
        labels, images = pack.labels[target.test], pack.images
        if target.kind == "one":
            metric.share(labels.astype(np.int32))  # its weights may be from outside
        pixels = images.sizes.astype(float).prod(1).mean() if isinstance(images, Ragged) else pack.image_px**2
        found.append(TargetFacts(
            spec, pack.digest, f"{name} ({spec})" if name in taken else name, metric.name, metric.guess(labels),
            metric is not target.metric, target.n_classes, len(target.train), len(target.val), len(target.test),
            target.kind == "boxes", target.kind == "many", own, pixels=float(pixels), notes=tuple(remarks(pack)),
            labels="" if target.kind == "boxes" else labels_digest(target.test, labels),
            rows=metric.rows if metric.each is not None and metric.weights is None else "",
        ))  # fmt: skip
        if n_folds := _n_folds(study, target, own):
            found[-1] = _in_folds(replace(found[-1], folds=n_folds), target)
    return found


def _in_folds(facts: TargetFacts, target: Target) -> TargetFacts:
    """The facts of a target of which all images are tested, with a remark on that."""
    n, folds = facts.n_test, facts.folds
    fitted = n - round(n / folds)
    said = (
        f"{facts.name}: accuracy is that on all {n:,} images, in {folds} folds: each is predicted by a fit to the other folds, "
        f"about {fitted:,} images, among which its penalty is chosen. Every seed divides the images anew, each class evenly; "
        "images of equal pixels are in one fold. A control that trains every layer is scored on the test split alone."
    )
    if str(target.pack.notes.get("split", "")).startswith(GIVEN):
        said += (
            " The splits that the data set gives are not used, so that scores cannot be compared with published ones."
        )
    return replace(facts, n_train=fitted, n_val=0, notes=(*facts.notes, said))


def keep_labels(store: Store, targets: Sequence[TargetFacts], views: Sequence[Target]) -> None:
    """Store the targets' test labels, so that answers need no pack."""
    for target, held in zip(targets, views, strict=True):
        if target.labels:
            store.write_labels(held.test, held.pack.labels[held.test])


def _check_maps(study: Study) -> None:
    """Refuse to detect with a backbone that has no feature maps, before any is pre-trained."""
    name, image_px = study.recipe.backbone, study.recipe.image_px
    if any(definition_of(p).boxes for p in study.protocols) and not backbones.find(name)[0].has_maps:
        from transferlab.transfer.detect.maps import maps_of  # loads torch

        maps_of(backbones.build(name, image_px, 0), image_px, name)


def _check_shots(study: Study, targets: Sequence[Target]) -> None:
    """Refuse more shots than a target has examples."""
    for target in targets:
        for shots in {p.shots for p in study.protocols if p.shots is not None} if target.kind != "boxes" else ():
            take_shots(target, shots, 0)


def _earlier(store: Store, name: str) -> list[Plan]:
    """Earlier plans of this name, except those that cannot be read."""
    with contextlib.suppress(UserError):  # none can be read
        return plans(store, name, told=lambda _: None)
    return []
