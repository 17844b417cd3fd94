"""What makes a data set good for transfer learning? Designed subsets, many pre-trainings, answers with intervals.

A study reads like its question, and docs/extending.md shows what else these names are for. Each name is loaded when it is first
asked for, so that the command starts without numpy; no name but ``Prediction`` and ``Problem`` loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transferlab import designs
    from transferlab.contrasts import against, compare, ends, levels, steps
    from transferlab.definitions import Parameter
    from transferlab.designs import DesignDefinition
    from transferlab.engine.backbones import BackboneDefinition
    from transferlab.engine.optimisers import OptimiserDefinition
    from transferlab.errors import UserError
    from transferlab.images.format import Format
    from transferlab.origins import Origin
    from transferlab.specs import Contrast, Design, Epochs, Examples, Protocol, Recipe, Study, UntilFlat
    from transferlab.transfer.definition import ProtocolDefinition
    from transferlab.transfer.metrics import Metric
    from transferlab.transfer.problem import Prediction, Problem
    from transferlab.transfer.protocols import detect, finetune, induction, knn, probe, refit

__all__ = [
    "BackboneDefinition", "Contrast", "Design", "DesignDefinition", "Epochs", "Examples", "Format", "Metric", "OptimiserDefinition", "Origin",
    "Parameter", "Prediction", "Problem", "Protocol", "ProtocolDefinition", "Recipe", "Study", "UntilFlat", "UserError", "against", "compare",
    "designs", "detect", "ends", "finetune", "induction", "knn", "levels", "probe", "refit", "steps",
]  # fmt: skip

HELD = {
    "contrasts": ("against", "compare", "ends", "levels", "steps"),
    "definitions": ("Parameter",),
    "designs": ("DesignDefinition",),
    "engine.backbones": ("BackboneDefinition",),
    "engine.optimisers": ("OptimiserDefinition",),
    "errors": ("UserError",),
    "images.format": ("Format",),
    "origins": ("Origin",),
    "specs": ("Contrast", "Design", "Epochs", "Examples", "Protocol", "Recipe", "Study", "UntilFlat"),
    "transfer.definition": ("ProtocolDefinition",),
    "transfer.metrics": ("Metric",),
    "transfer.problem": ("Prediction", "Problem"),
    "transfer.protocols": ("detect", "finetune", "induction", "knn", "probe", "refit"),
}
MODULES = {name: module for module, names in HELD.items() for name in names}


def __getattr__(name: str) -> object:
    """The names of ``__all__``, and ``__version__``."""
    if name in MODULES:
        return vars(import_module(f"transferlab.{MODULES[name]}"))[name]
    if name == "designs":
        return import_module("transferlab.designs")
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("transferlab")
