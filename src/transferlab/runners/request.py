"""Turns what a user asked for into a study, with the options of the command line in place of its own values."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transferlab.answers.published import PREFIX
from transferlab.definitions import Value
from transferlab.engine import backbones
from transferlab.engine.recipes import SMALL
from transferlab.engine.recipes import recipe as named_recipe
from transferlab.errors import ImpossibleQuestion, UserError
from transferlab.images.spec import parse_spec
from transferlab.origins import ORIGINS
from transferlab.plan import most_seen
from transferlab.questions import QUESTIONS, Question, load
from transferlab.runners.budget import seconds_of
from transferlab.specs import TRAIN, Epochs, Examples, Pack, Protocol, Recipe, Study
from transferlab.transfer.protocols import PROTOCOLS, definition_of, detect
from transferlab.validate import SOURCE_ITSELF, check_seeds, check_size, validate

MOST_EXAMPLES = 10**12


@dataclass(frozen=True)
class Request:
    """What a user asked for; None keeps the study's own value.

    Args:
        study: a built-in question's name, the path of a study file, or a study.
        protocol: its name, with settings as in "probe:folds=5"; replaces the study's own protocols, except those that measure the
            source's own classes.
        paper: a built-in question at the levels of its paper.
        epochs: a fixed number of passes over each subset instead of a fixed number of examples seen.
        examples: length of each pre-training in examples seen; with ``epochs``, over the whole source.
        budget: the time that the study may take, as "30min"; what does not fit is given up.
        controls: names of controls beside the study's own.
    """

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
    protocol: str | None = None
    paper: bool = False
    epochs: bool = False
    examples: int | None = None
    budget: str | None = None
    controls: Sequence[str] = ()

    @property
    def study_file(self) -> str | None:
        """The full path of the study file, which workers run for its definitions; None if the study is not a file."""
        if not isinstance(self.study, str) or self.study in QUESTIONS:
            return None
        return str(Path(self.study).resolve())

    @property
    def title(self) -> str:
        """The study's name for messages."""
        return f"study {self.study if isinstance(self.study, str) else self.study.name}"


@dataclass(frozen=True)
class Wording:
    """A request whose words are checked: the question or study, image size in pixels, specs of images, budget in seconds."""

    found: Question | Study
    size_px: int
    source: str
    targets: Sequence[str]
    budget: float | None = None


def read(request: Request) -> Wording:
    """Find the requested study, and check everything that can be checked without an image.

    Raises:
        UserError: anything that is wrong with the request.
    """
    found = load(request.study) if isinstance(request.study, str) else request.study
    declared = found if isinstance(found, Study) else None
    if request.paper and declared:
        raise UserError("--paper is for built-in studies", request.title, f"they are {', '.join(QUESTIONS)}")
    targets = request.targets or (declared.targets if declared else ())
    if declared:
        validate(replace(declared, targets=targets, source=request.source or declared.source))
    planned = declared.recipe if declared else SMALL
    own = planned if request.recipe is None else named_recipe(request.recipe)
    size_px = (planned if declared else own).image_px if request.size is None else request.size
    check_size(size_px)
    source = request.source or (declared.source if declared else "")
    if not source:
        raise UserError("the study has no source", request.title, "name one, for example --source toy")
    if not targets and not isinstance(found, Study) and found.needs_target:
        raise UserError("the study has no target", request.title, "name one, for example --target digits")
    if request.seeds is not None:
        check_seeds(request.seeds, request.title)
    if request.examples is not None:
        _check_examples(request.examples)
    budget = None if request.budget is None else seconds_of(request.budget)
    if request.protocol is not None:
        _protocol_of(request.protocol)
    for name in request.controls:
        ORIGINS.find(name, "--control")
    _check_backbone(request.backbone or own.backbone, size_px)
    for text in dict.fromkeys([source, *targets]):
        if text != SOURCE_ITSELF:
            parse_spec(text).check_there()
    return Wording(found, size_px, source, targets, budget)


def study_of(wording: Wording, request: Request, source: Pack, targets: Sequence[tuple[str, Pack]]) -> Study:
    """The study to plan, for these images.

    Args:
        targets: specs and packs, without the source itself.

    Raises:
        UserError: a question that these images cannot answer, or a protocol without a target to measure.
    """
    found, packs = wording.found, [pack for _, pack in targets]
    study = found if isinstance(found, Study) else _posed(found, request.paper, source, packs)
    recipe = _recipe(study.recipe, request, wording.size_px, source, built_in=not isinstance(found, Study))
    return replace(
        study,
        name=f"{study.name}-epochs" if request.epochs else study.name,
        source=wording.source,
        seeds=study.seeds if request.seeds is None else request.seeds,
        recipe=_at_fixed_epochs(recipe, source) if request.epochs else recipe,
        protocols=_protocols(study, request, packs),
        controls=tuple(dict.fromkeys((*study.controls, *request.controls))),
        targets=(
            *([SOURCE_ITSELF] if SOURCE_ITSELF in (*study.targets, *wording.targets) else ()),
            *(spec for spec, _ in targets),
        ),
    )


def _check_examples(n: int) -> None:
    if not 1 <= n <= MOST_EXAMPLES:
        raise UserError(f"networks cannot see {n:,} examples", "--examples",
                        f"choose from 1 to {MOST_EXAMPLES:,}; 24,000 is a first look, 250,000 a useful length")  # fmt: skip


def _protocol_of(text: str) -> Protocol:
    """A protocol from its name and settings: "probe" or "probe:folds=5", several settings apart by commas.

    Raises:
        UserError: an unknown name or setting, an impossible value, or a protocol for boxes or the source's own classes.
    """
    name, _, rest = text.partition(":")
    asked = PROTOCOLS.find(name, "--protocol")
    if asked.boxes or asked.own_classes:
        raise UserError(f"{name} cannot replace a study's protocols", "--protocol", "choose one for class labels")
    settings: dict[str, Value] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in settings:
            raise UserError(f"{part!r} is no setting, or one given twice", f"--protocol {text}",
                            "write NAME:SETTING=VALUE,…, for example probe:folds=5")  # fmt: skip
        settings[key] = _value(value)
    found = asked.settings(settings)
    if asked.together is not None:
        asked.together(found)
    return replace(asked(), knobs=found)


def _value(text: str) -> Value:
    """A whole number, a number or a word."""
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def _check_backbone(name: str, image_px: int) -> None:
    definition, detail = backbones.find(name)
    if definition.check is not None:
        definition.check(detail, image_px)
    else:
        backbones.build(name, image_px, 0)  # a network of another library; loads torch


def _posed(question: Question, paper: bool, source: Pack, targets: Sequence[Pack]) -> Study:
    """The study that a question makes of these images; PREFIX marks its name at the levels of the paper."""
    try:
        if not paper:
            return question.ask(source, targets)
        study = question.paper(source, targets)
        return replace(study, name=PREFIX + study.name)
    except UserError as error:
        raise ImpossibleQuestion(error.what, error.where, error.remedy) from error


def _protocols(study: Study, request: Request, targets: Sequence[Pack]) -> Sequence[Protocol]:
    """The study's protocols or the requested one; with ``detect`` for targets with boxes, and alone if all have boxes.

    Raises:
        UserError: ``detect`` without a target with boxes, or another protocol requested and all targets have boxes.
    """
    has_boxes = [pack.boxes is not None for pack in targets]
    detecting = [p for p in study.protocols if definition_of(p).boxes]
    others = [p for p in study.protocols if not definition_of(p).boxes]
    if request.protocol is not None:
        others = [_protocol_of(request.protocol), *(p for p in others if definition_of(p).own_classes)]
    if not any(has_boxes):
        if detecting:
            raise UserError("detect needs a target with boxes", f"study {study.name!r}",
                            "name one, for example --target 'voc:PATH?task=detection'")  # fmt: skip
        return others
    if all(has_boxes) and SOURCE_ITSELF not in study.targets:
        if request.protocol is not None:
            raise UserError(f"{request.protocol} needs a target with class labels, and every target has boxes",
                            "--protocol", "leave it out, or add a target with classes")  # fmt: skip
        others = []
    return (*others, *(detecting or [detect()]))


def _recipe(declared: Recipe, request: Request, size_px: int, source: Pack, *, built_in: bool) -> Recipe:
    """The requested recipe and length, else the study's; built-in studies see fewer examples of small sources."""
    chosen = replace(declared, image_px=size_px, backbone=request.backbone or declared.backbone)
    if request.recipe is not None:
        chosen = named_recipe(request.recipe, backbone=request.backbone, image_px=size_px)
    if request.examples is not None:
        return replace(chosen, length=Examples(request.examples))
    if request.recipe is not None or not built_in:
        return chosen
    n_train = len(source.rows(TRAIN))
    return replace(chosen, length=Examples(min(most_seen(SMALL, n_train), max(25_000, 100 * n_train))))


def _at_fixed_epochs(recipe: Recipe, source: Pack) -> Recipe:
    """As many passes over each subset as the recipe makes over the whole source."""
    n_train = len(source.rows(TRAIN))
    return replace(recipe, length=Epochs(round(most_seen(recipe, n_train) / n_train, 4)))
