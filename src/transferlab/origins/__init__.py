"""Origins: where the networks of a study's controls come from, one file each; importing them loads no torch.

In come the reference condition's design, the study's protocols and, later, its estimates. Out go the design and protocol of
each control's networks, and the control's check of the study. The package never trains, reads or writes anything.
"""

from __future__ import annotations

from transferlab.definitions import Table
from transferlab.origins.definition import Origin
from transferlab.origins.random_features import RANDOM_FEATURES
from transferlab.origins.recipe import RECIPE
from transferlab.origins.scratch import SCRATCH
from transferlab.origins.shuffled_labels import SHUFFLED_LABELS
from transferlab.origins.twin import TWIN

ORIGINS = Table("control", Origin, [SCRATCH, RANDOM_FEATURES, TWIN, SHUFFLED_LABELS, RECIPE])
