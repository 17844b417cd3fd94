"""How studies that ask the same question are told apart: by what differs between them, in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from transferlab.answers.study import StudyAnswers
from transferlab.specs import Epochs, Examples, Recipe
from transferlab.text import listed, number_of

MOST_NAMES = 4  # listed one by one; more are counted
APART = frozenset(
    {"name", "length", "backbone", "image_px", "lr", "augmentation"}
)  # said otherwise, or too long to say


def questions(studies: Sequence[StudyAnswers]) -> list[str]:
    """The question of each study, or its name if it has none."""
    return [study.question or study.name for study in studies]


def titles(studies: Sequence[StudyAnswers]) -> list[str]:
    """The question of each study, with what tells it from the others that ask the same."""
    return [f"{title} ({apart})" if apart else title
            for title, apart in zip(questions(studies), differences(studies), strict=True)]  # fmt: skip


def differences(studies: Sequence[StudyAnswers]) -> list[str]:
    """For each study what differs between it and those that ask the same; "" if no other does.

    The identity is added only where the rest is equal.
    """
    asked = questions(studies)
    found: list[str] = []
    for title, study in zip(asked, studies, strict=True):
        same = [other for question, other in zip(asked, studies, strict=True) if question == title]
        said = [dict(_facts(other)) for other in same]
        differing = [label for label in said[0] if len({facts[label] for facts in said}) > 1]
        texts = [", ".join(facts[label] for label in differing) for facts in said]
        own = texts[next(i for i, other in enumerate(same) if other is study)]
        unsaid = f"study {study.identity[:8]}" if len(same) > 1 and texts.count(own) > 1 else ""
        found.append(", ".join(filter(None, [own, unsaid])))
    return found


def _facts(study: StudyAnswers) -> Iterator[tuple[str, str]]:
    """Label and text of whatever variants of a study may differ in; the labels are the same for every study."""
    recipe = study.recipe
    controls = [c.title for c in study.conditions if c.is_control]
    yield "name", study.name
    yield "source", f"source {study.source}"
    yield "targets", _named("target", [t.name for t in study.targets])
    yield "conditions", _named("condition", [c.title for c in study.conditions if not c.is_control])
    yield "controls", _named("control", controls) if controls else "no controls"
    yield "seeds", number_of(study.n_seeds, "seed")
    yield "recipe", f"recipe {recipe.name}"
    yield "length", _length(recipe)
    yield "network", f"{recipe.backbone} at {recipe.image_px} px"
    yield "rate", f"learning rate {recipe.lr:g}"
    for each in (field.name for field in fields(Recipe) if field.name not in APART):
        yield each, f"{each.replace('_', ' ')} {vars(recipe)[each]}"
    yield "protocols", f"measured by {listed(study.protocols)}"
    yield "metrics", " and ".join(dict.fromkeys(t.metric for t in study.targets))


def _named(one: str, names: Sequence[str]) -> str:
    """Few things by their names, many by their number: "target a", "targets a, b", "6 targets"."""
    if len(names) > MOST_NAMES:
        return number_of(len(names), one)
    return f"{one if len(names) == 1 else one + 's'} {', '.join(names)}"


def _length(recipe: Recipe) -> str:
    """The length of pre-training, in a few words."""
    length = recipe.length
    if isinstance(length, Examples):
        return f"{length.n:,} examples seen"
    return f"{length.n:g} passes" if isinstance(length, Epochs) else "until the validation loss stops falling"
