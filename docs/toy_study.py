"""How many images per class are enough on the toy world?   The study behind docs/report.png; 5 min on two busy cores without bf16."""

from transferlab import Study, designs, levels, probe
from transferlab.engine.recipes import RECIPES

study = Study(
    name="images-per-class-toy",
    question="How many images per class are enough?",
    unit="images per class",
    source="toy",
    targets=["toy?task=unseen", "toy?task=attributes"],
    conditions={n: designs.images_per_class(n) for n in (3, 15, 60)},
    contrasts=levels(margin=0.01),
    seeds=5,
    recipe=RECIPES["quick"],
    protocols=[probe()],
)
