"""Named recipes: how networks are trained, where that comes from, what it costs and what to expect of it.

How Huh et al. pre-trained (iterations, rates, batch, which layers they transferred) is not known: they name AlexNet,
Caffe and SGD, no more. So none of these is the paper's. "Caffe's" and "FFCV's" below are what those authors published
for all of ImageNet at 1,000 classes; what differs here is said, and no accuracy is claimed where it was not measured.
Images a second: steps in bf16 on one core of an AMD EPYC beside other work (three steps each), 2026-11-27, provisional.
"""

from __future__ import annotations

from dataclasses import replace

from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Recipe

SMALL = Recipe(name="small")

# Caffe's: momentum 0.9, rate 0.01, a tenth of it each 100,000 of 450,000 steps of 256, decay 5e-4 but not on biases
# (models/bvlc_alexnet of BVLC/caffe, solver.prototxt and train_val.prototxt). With it 57.1 % top-1 and 80.2 % top-5 on the
# centre crop (its readme; best at step 358,000). Differs here: momentum is Nesterov's, biases learn at the
# rate of the weights (Caffe: twice that), the last layer begins at deviation 1/64 (Caffe: 0.01), pixels less a mean
# colour (Caffe: a mean image), 224 px shifted by up to 16 px with reflected borders (Caffe: crops of 227 px from images
# resized to 256 x 256). Not run here at that scale. 115 million images: at 17 a second 78 days of a core.
ALEXNET = Recipe(
    name="alexnet", backbone="alexnet-caffe", image_px=224, length=Examples(450_000 * 256), batch=256, optimiser="sgd",
    lr=0.01, weight_decay=5e-4, schedule="steps", warmup=0.0, label_smoothing=0.0, augmentation=Augmentation(crop_px=16),
)  # fmt: skip

# FFCV's 16 epochs for ResNet-18: rate 0.5 at batch 1,024, a line up to it over 2 epochs and down to 0, decay 5e-5 but not
# on norms, label smoothing 0.1 (rn18_configs/rn18_16_epochs.yaml of libffcv/ffcv-imagenet). With it 66.9 % top-1 and
# 86.8 % top-5 in 35 minutes of one A100. Differs here: random-resized crops are taken from the 160 px square that the pack
# holds (FFCV: from photographs of up to 400 px), no blurred pools, 160 px throughout (FFCV: up to 192 at the end, and 256
# with mirror images in the test), Nesterov's momentum. Expect less; not run here at that scale. 20.5 million images: at 17
# to 35 a second 7 to 14 days of a core.
RESNET = Recipe(
    name="resnet-short", backbone="torchvision:resnet18", image_px=160, length=Examples(16 * 1_281_167), batch=1024,
    optimiser="sgd", lr=0.5, weight_decay=5e-5, schedule="one-cycle", warmup=0.125, label_smoothing=0.1,
    augmentation=Augmentation(crop_px=0, flip=True, scale=0.08),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    # Ours. 250,000 examples; about 80 seconds a network on one core of an AMD EPYC with bf16 at 32 px.
    "small": SMALL,
    # Ours. The smallest that leaves random features behind; for the demo, tests and first looks.
    "quick": replace(SMALL, name="quick", length=Examples(24_000)),
    # Ours. A check that conditions keep their order when trained longer.
    "long": replace(SMALL, name="long", length=Examples(700_000)),
    # Ours. Larger backbones by name: AdamW, colour and cutout.
    "adamw": Recipe(
        name="adamw", optimiser="adamw", lr=1e-3, weight_decay=0.05, batch=128, schedule="cosine", warmup=0.05,
        augmentation=Augmentation(crop_px=4, flip=True, cutout_px=8, colour=0.2), length=Examples(500_000),
    ),
    # Caffe's, with the paper's network as far as it is known: see above.
    "alexnet": ALEXNET,
    # Ours, for the same network: 16 passes over ImageNet in place of 90, the rate up and down once. Not run at that scale;
    # expect less than Caffe's 57.1 %. 20.5 million images: at 17 a second 14 days of a core.
    "alexnet-short": replace(
        ALEXNET, name="alexnet-short", length=Examples(16 * 1_281_167), schedule="one-cycle", warmup=0.1
    ),
    # FFCV's, in part: see above. For ResNet-34 add --backbone torchvision:resnet34 (FFCV published none).
    "resnet-short": RESNET,
    # FFCV's 16 epochs for ResNet-50, in part: 1.7 at batch 4,096 scaled to 1,024, decay 1e-4. Theirs has 73.8 % top-1
    # and 90.8 % top-5 in 15 minutes of eight A100. At 10 a second 23 days of a core.
    "resnet50-short": replace(
        RESNET, name="resnet50-short", backbone="torchvision:resnet50", lr=0.425, weight_decay=1e-4
    ),
}  # fmt: skip


def recipe(name: str, *, backbone: str | None = None, image_px: int | None = None) -> Recipe:
    """A named recipe, with another backbone or image size where given.

    Raises:
        UserError: an unknown name.
    """
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}", f"recipes are {', '.join(RECIPES)}", "name one of them")
    found = RECIPES[name]
    return replace(found, backbone=backbone or found.backbone, image_px=image_px or found.image_px)
