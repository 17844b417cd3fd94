"""The demo: three questions on the toy world, answered in a few minutes on two cores."""

from __future__ import annotations

from dataclasses import replace

from transferlab import designs
from transferlab.contrasts import compare, levels
from transferlab.engine.recipes import RECIPES
from transferlab.specs import Study
from transferlab.transfer.protocols import detect

TARGETS = ("toy?task=unseen", "toy?task=scenes", "toy?task=attributes")

IMAGES = Study(
    name="images-per-class",
    question="How many images per class are enough?",
    unit="images per class",
    source="toy",
    targets=TARGETS,
    conditions={n: designs.images_per_class(n) for n in (5, 15, 60)},
    contrasts=levels(margin=0.02),
    seeds=5,
    recipe=RECIPES["quick"],
)

# Controls that IMAGES shares are not run again: equal cells are one cell.
LABELS = replace(
    IMAGES,
    name="coarse-vs-fine",
    question="At one number of labels and images: coarse labels or fine ones?",
    unit="",
    conditions={"16 coarse": designs.coarse_matched(2), "16 fine": designs.fine_matched(2)},
    contrasts=[compare("16 coarse", "16 fine", margin=0.02)],
    controls=("scratch", "random-features"),
)

# Detectors around the networks of IMAGES: nothing more is pre-trained, and it takes a minute.
BOXES = replace(
    IMAGES,
    name="images-per-class-boxes",
    question="Do more images per class help to find objects, too?",
    targets=("toy?task=detection",),
    conditions={n: designs.images_per_class(n) for n in (5, 60)},
    contrasts=[compare("60", "5", margin=0.02)],
    controls=("scratch",),
    seeds=3,
    protocols=[detect(examples=800)],
)

STUDIES = (IMAGES, LABELS, BOXES)
