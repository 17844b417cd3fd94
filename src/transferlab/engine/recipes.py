"""Named recipes: how networks are trained, where each recipe comes from, what it costs and what to expect of it.

Huh et al. state AlexNet, Caffe and SGD; they do not state iterations, learning rates, batch size or the layers that they
transferred. So none of these recipes is the paper's. "Caffe's" and "FFCV's" mean what those authors published for all of
ImageNet at 1,000 classes; differences are listed, and accuracies are quoted only where somebody measured them. Images per
second: bf16 steps on one core of an AMD EPYC beside other work (three steps each), 2026-11-27, provisional.
"""

from __future__ import annotations

from dataclasses import replace

from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Recipe

SMALL = Recipe(name="small")

# Caffe's: momentum 0.9, rate 0.01, divided by ten every 100,000 of 450,000 steps of 256, decay 5e-4 except on biases
# (models/bvlc_alexnet of BVLC/caffe, solver.prototxt and train_val.prototxt). It reaches 57.1 % top-1 and 80.2 % top-5 on the
# centre crop (its readme; best at step 358,000). Differences here: Nesterov momentum; biases learn at the rate of the weights
# (Caffe: twice that); the last layer starts at standard deviation 1/64 (Caffe: 0.01); a mean colour is subtracted (Caffe: a
# mean image); 224 px shifted by up to 16 px with reflected borders (Caffe: crops of 227 px from images resized to 256 x 256).
# Not run here at that scale. 115 million images: 78 days of one core at 17 images per second.
ALEXNET = Recipe(
    name="alexnet", backbone="alexnet-caffe", image_px=224, length=Examples(450_000 * 256), batch=256, optimiser="sgd",
    lr=0.01, weight_decay=5e-4, schedule="steps", warmup=0.0, label_smoothing=0.0, augmentation=Augmentation(crop_px=16),
)  # fmt: skip

# FFCV's 16 epochs for ResNet-18: rate 0.5 at batch 1,024, reached linearly over 2 epochs and then lowered linearly to 0,
# decay 5e-5 except on norms, label smoothing 0.1 (rn18_configs/rn18_16_epochs.yaml of libffcv/ffcv-imagenet). It reaches
# 66.9 % top-1 and 86.8 % top-5 in 35 minutes on one A100. Differences here: random-resized crops are taken from the pack's
# 160 px squares (FFCV: from photographs of up to 400 px); no blurred pools; 160 px throughout (FFCV: up to 192 at the end,
# and 256 with mirror images in the test); Nesterov momentum. Expect less; not run here at that scale. 20.5 million images:
# 7 to 14 days of one core at 17 to 35 images per second.
RESNET = Recipe(
    name="resnet-short", backbone="torchvision:resnet18", image_px=160, length=Examples(16 * 1_281_167), batch=1024,
    optimiser="sgd", lr=0.5, weight_decay=5e-5, schedule="one-cycle", warmup=0.125, label_smoothing=0.1,
    augmentation=Augmentation(crop_px=0, flip=True, scale=0.08),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    # Ours. 250,000 examples; about 80 seconds per network on one core of an AMD EPYC in bf16 at 32 px.
    "small": SMALL,
    # Ours. The shortest that beats random features; for the demo, tests and first looks.
    "quick": replace(SMALL, name="quick", length=Examples(24_000)),
    # Ours. To check that conditions keep their order when trained longer.
    "long": replace(SMALL, name="long", length=Examples(700_000)),
    # Ours. For larger backbones: AdamW, colour jitter and cutout.
    "adamw": Recipe(
        name="adamw", optimiser="adamw", lr=1e-3, weight_decay=0.05, batch=128, schedule="cosine", warmup=0.05,
        augmentation=Augmentation(crop_px=4, flip=True, cutout_px=8, colour=0.2), length=Examples(500_000),
    ),
    # Ours, as it was up to ENGINE 3: the first filters start at random.
    "random-stem": replace(SMALL, name="random-stem", stem="random"),
    # Caffe's, with the paper's network as far as it is known; see above.
    "alexnet": ALEXNET,
    # Ours, for the same network: 16 passes over ImageNet instead of 90, one cycle of the rate. Not run at that scale; expect
    # less than Caffe's 57.1 %. 20.5 million images: 14 days of one core at 17 images per second.
    "alexnet-short": replace(
        ALEXNET, name="alexnet-short", length=Examples(16 * 1_281_167), schedule="one-cycle", warmup=0.1
    ),
    # FFCV's, in part; see above. For ResNet-34 add --backbone torchvision:resnet34 (FFCV published none).
    "resnet-short": RESNET,
    # FFCV's 16 epochs for ResNet-50, in part: rate 1.7 at batch 4,096, scaled to 1,024; decay 1e-4. Theirs reaches 73.8 %
    # top-1 and 90.8 % top-5 in 15 minutes on eight A100. 23 days of one core at 10 images per second.
    "resnet50-short": replace(
        RESNET, name="resnet50-short", backbone="torchvision:resnet50", lr=0.425, weight_decay=1e-4
    ),
}  # fmt: skip


def recipe(name: str, *, backbone: str | None = None, image_px: int | None = None) -> Recipe:
    """A named recipe, with another backbone or image size if given; raises UserError if the name is unknown."""
    if name not in RECIPES:
        raise UserError(f"there is no recipe {name!r}", f"recipes are {', '.join(RECIPES)}", "name one of them")
    found = RECIPES[name]
    return replace(found, backbone=backbone or found.backbone, image_px=image_px or found.image_px)
