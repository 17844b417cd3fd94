"""What makes a data set good for transfer learning? Designed subsets, many pre-trainings, answers with intervals.

A study reads like its question, and docs/extending.md shows what else these names are for; importing this loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from transferlab import designs
from transferlab.contrasts import against, compare, ends, steps
from transferlab.definitions import Parameter
from transferlab.designs import DesignDefinition
from transferlab.engine.backbones import BackboneDefinition
from transferlab.engine.optimisers import OptimiserDefinition
from transferlab.errors import UserError
from transferlab.specs import Contrast, Design, Epochs, Examples, Protocol, Recipe, Study, UntilFlat
from transferlab.transfer.definition import ProtocolDefinition
from transferlab.transfer.metrics import Metric
from transferlab.transfer.protocols import detect, finetune, induction, knn, probe, refit

if TYPE_CHECKING:
    from transferlab.images.format import Format
    from transferlab.origins import Origin
    from transferlab.transfer.problem import Prediction, Problem

__all__ = [
    "BackboneDefinition", "Contrast", "Design", "DesignDefinition", "Epochs", "Examples", "Format", "Metric", "OptimiserDefinition", "Origin",
    "Parameter", "Prediction", "Problem", "Protocol", "ProtocolDefinition", "Recipe", "Study", "UntilFlat", "UserError", "against", "compare",
    "designs", "detect", "ends", "finetune", "induction", "knn", "probe", "refit", "steps",
]  # fmt: skip

# Loaded when they are asked for: the first two would slow down --help, the others load torch.
LATER = {
    "Format": "transferlab.images.format",
    "Origin": "transferlab.origins",
    "Prediction": "transferlab.transfer.problem",
    "Problem": "transferlab.transfer.problem",
}


def __getattr__(name: str) -> object:
    """The names of ``LATER``, and ``__version__``, which takes a third of the time of ``--help``."""
    if name in LATER:
        return vars(import_module(LATER[name]))[name]
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("transferlab")
