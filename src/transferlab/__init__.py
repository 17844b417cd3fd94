"""What makes a data set good for transfer learning? Designed subsets, many pre-trainings, answers with intervals.

A study reads like its question; importing this loads no torch.
"""

from importlib.metadata import version

from transferlab import designs
from transferlab.contrasts import against, compare, ends, steps
from transferlab.errors import UserError
from transferlab.specs import Contrast, Design, Epochs, Examples, Protocol, Recipe, Study, UntilFlat
from transferlab.transfer.protocols import finetune, knn, probe

__version__ = version("transferlab")

__all__ = [
    "Contrast", "Design", "Epochs", "Examples", "Protocol", "Recipe", "Study", "UntilFlat", "UserError",
    "against", "compare", "designs", "ends", "finetune", "knn", "probe", "steps",
]  # fmt: skip
