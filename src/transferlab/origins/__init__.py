"""Origins: where the networks of a study's controls come from, one file each; importing them loads no torch.

In comes the reference condition's design and the study's protocols; out goes what each control's networks are pre-trained on
and measured by, and what the control says of the study's soundness. Nothing is trained or read here.
"""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.origins.definition import Origin
from transferlab.origins.random_features import RANDOM_FEATURES
from transferlab.origins.scratch import SCRATCH
from transferlab.origins.shuffled_labels import SHUFFLED_LABELS
from transferlab.origins.twin import TWIN

ORIGINS = Table("control", Origin, [SCRATCH, RANDOM_FEATURES, TWIN, SHUFFLED_LABELS])
