"""What makes a data set good for transfer learning? Designed subsets, many pre-trainings, answers with intervals.

A study reads like its question; importing this loads no torch.
"""

from transferlab import designs
from transferlab.contrasts import against, compare, ends, steps
from transferlab.errors import UserError
from transferlab.specs import Contrast, Design, Epochs, Examples, Protocol, Recipe, Study, UntilFlat
from transferlab.transfer.protocols import detect, finetune, induction, knn, probe, refit

__all__ = [
    "Contrast", "Design", "Epochs", "Examples", "Protocol", "Recipe", "Study", "UntilFlat", "UserError",
    "against", "compare", "designs", "detect", "ends", "finetune", "induction", "knn", "probe", "refit", "steps",
]  # fmt: skip


def __getattr__(name: str) -> str:
    """``__version__``, looked up when it is asked for: that takes a third of the time of ``--help``."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("transferlab")
