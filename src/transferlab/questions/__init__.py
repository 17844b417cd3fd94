"""The paper's questions as ready studies, one small file each, and the table QUESTIONS; users' files take one road.

A question is a function from the opened source pack and the targets' packs to a ``Study``: its levels depend on
what the data allow. The command line fills in source, targets, seeds, recipe and protocols.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

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
from transferlab.specs import Pack, Study

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


def load(name: str) -> Question | Study:
    """A built-in question by name, or the ``study`` that a Python file defines.

    Raises:
        UserError: an unknown name, a missing file, or a file without a ``study``.
    """
    if name in QUESTIONS:
        return QUESTIONS[name]
    if not name.endswith(".py"):
        close = difflib.get_close_matches(name, QUESTIONS, n=1)
        hint = f"did you mean {close[0]}" if close else f"built-in studies are {', '.join(QUESTIONS)}"
        raise UserError(f"there is no study {name!r}", "STUDY", f"{hint}; your own is a Python file, my_study.py")
    path = Path(name)
    if not path.is_file():
        raise UserError("there is no such study file", str(path), "check the path")
    module_spec = importlib.util.spec_from_file_location(f"transferlab_study_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise UserError("the study file cannot be loaded", str(path), "it must be a Python file")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"the study file is not valid Python: {error}", str(path), "mend it") from error
    study = vars(module).get("study")
    if not isinstance(study, Study):
        raise UserError(
            "the study file defines no study", str(path), "end it with study = Study(...); the README shows one whole"
        )
    return study
