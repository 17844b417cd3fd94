"""The paper's questions as ready studies, one small file each, and the table QUESTIONS; users' files take one road.

A question is a function from the opened source pack and the targets' packs to a ``Study``: its levels depend on
what the data allow. The command line fills in source, targets, seeds, recipe and protocols.
"""

from __future__ import annotations

import difflib
import runpy
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from transferlab.errors import UserError
from transferlab.questions import (
    class_count,
    classes_vs_images,
    coarse_to_fine,
    coarse_vs_fine,
    exclude_target,
    images_per_class,
    more_data,
)
from transferlab.specs import Contrast, ContrastRule, Design, Pack, Protocol, Recipe, Study

Question = Callable[[Pack, Sequence[Pack]], Study]

QUESTIONS: dict[str, Question] = {
    "images-per-class": images_per_class.study,
    "class-count": class_count.study,
    "coarse-to-fine": coarse_to_fine.study,
    "coarse-vs-fine": coarse_vs_fine.study,
    "classes-vs-images": classes_vs_images.study,
    "exclude-target": exclude_target.study,
    "more-data": more_data.study,
}
# The same at the paper's own levels, or at these shares of another source.
PAPER: dict[str, Question] = {
    "images-per-class": images_per_class.paper,
    "class-count": class_count.paper,
    "coarse-to-fine": coarse_to_fine.paper,
    "coarse-vs-fine": coarse_vs_fine.paper,
    "classes-vs-images": classes_vs_images.paper,
    "exclude-target": exclude_target.paper,
    "more-data": more_data.paper,
}

AT_EPOCHS = ("images-per-class", "more-data")  # whose conditions differ in images: also at equal passes over them


def load(name: str, *, paper: bool = False) -> Question | Study:
    """A built-in question by name, or the ``study`` that a Python file defines.

    Args:
        paper: the question at the paper's own levels; its study's name begins with ``paper-``.

    Raises:
        UserError: an unknown name, a missing file, one that does not run through, or one without a whole ``study``.
    """
    if name in QUESTIONS:
        return _named_after_paper(PAPER[name]) if paper else QUESTIONS[name]
    if paper:
        raise UserError("--paper is for built-in studies", name, f"they are {', '.join(QUESTIONS)}")
    if not name.endswith(".py"):
        close = difflib.get_close_matches(name, QUESTIONS, n=1)
        hint = f"did you mean {close[0]}" if close else f"built-in studies are {', '.join(QUESTIONS)}"
        raise UserError(f"there is no study {name!r}", "STUDY", f"{hint}; your own is a Python file, my_study.py")
    path = Path(name)
    if not path.is_file():
        raise UserError("there is no such study file", str(path), "check the path")
    study = _defined(path).get("study")
    if not isinstance(study, Study):
        raise UserError(
            "the study file defines no study", str(path), "end it with study = Study(...); the README shows one whole"
        )
    _must_fit(study, path)
    return study


def _named_after_paper(question: Question) -> Question:
    def study(source: Pack, targets: Sequence[Pack]) -> Study:
        found = question(source, targets)
        return replace(found, name=f"paper-{found.name}")

    return study


def _defined(path: Path) -> dict[str, object]:
    """What a study file defines; its own exceptions are the user's to mend, and are told with their line."""
    try:
        return runpy.run_path(str(path))
    except UserError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise UserError(f"the study file is not valid Python: {error.msg}", where, "mend it") from error
    except (Exception, SystemExit) as error:
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise UserError(f"the study file ends with {type(error).__name__}: {error}", where, "mend it") from error


def _must_fit(study: Study, path: Path) -> None:
    """Python checks no types: a field of another one would end deep inside.

    Raises:
        UserError: naming the field, what it holds, and how it is written.
    """
    rules: dict[str, tuple[object, bool, str]] = {
        "source": (study.source, _is(study.source, str), 'source="imagefolder:photos"'),
        "targets": (study.targets, _all(study.targets, str), 'targets=["digits"]'),
        "conditions": (
            study.conditions,
            _is(study.conditions, Mapping) and _all(list(study.conditions.values()), Design),
            "conditions={n: designs.images_per_class(n) for n in (10, 20)}",
        ),
        "contrasts": (
            study.contrasts, _is(study.contrasts, ContrastRule) or _all(study.contrasts, Contrast), "contrasts=steps()"
        ),
        "controls": (study.controls, _all(study.controls, str), 'controls=["scratch"]'),
        "seeds": (study.seeds, _is(study.seeds, int), "seeds=5"),
        "reference": (study.reference, study.reference is None or _is(study.reference, str), 'reference="20"'),
        "recipe": (study.recipe, _is(study.recipe, Recipe), 'recipe=Recipe(backbone="small")'),
        "notes": (study.notes, _all(study.notes, str), 'notes=["without the blurred photographs"]'),
        "protocols": (study.protocols, _all(study.protocols, Protocol), "protocols=[probe()]"),
    }  # fmt: skip
    for field, (held, fits, example) in rules.items():
        if not fits:
            raise UserError(f"the study's {field} cannot be {held!r:.80}", str(path), f"write for example {example}")
    levels = [str(level) for level in study.conditions]
    if twice := [level for level in levels if levels.count(level) > 1]:
        raise UserError(f"two conditions are called {twice[0]!r}", str(path), "give each a name of its own")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _all(values: object, kind: type) -> bool:
    """Whether it is a list or tuple of this kind; a single text would be read letter by letter."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, kind) for v in cast("list[object]", values))
