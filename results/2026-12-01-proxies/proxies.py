"""Does a small network speak for a larger one?   Fourteen conditions of the paper, three targets, a probe."""

from transferlab import Study, designs, ends, probe
from transferlab.engine.recipes import RECIPES

study = Study(
    name="proxies",
    question="Which images and labels make the best network?",
    source="wds:data/tiny_imagenet?taxonomy=wordnet&name=Tiny ImageNet",
    targets=[
        "wds:data/cifar100?taxonomy=data/cifar100/classes.csv&name=CIFAR-100",
        "imagefolder:data/omniglot/images_background_small2.zip?name=Omniglot",
        "imagefolder:data/clothing10/clothing10.zip?name=clothing",
    ],
    conditions={
        **{str(n): designs.images_per_class(n, short="keep") for n in (25, 62, 125, 250)},
        **{
            f"{n} labels": designs.labels_by_cut(depth)
            for n, depth in ((2, 2), (18, 5), (107, 8), (159, 10), (185, 12))
        },
        "88 labels (merged)": designs.labels_by_merge(1),
        "25 classes × 496": designs.classes_by_images(25, 496),
        "50 classes × 500": designs.classes_by_images(50, 500),
        "100 classes × 500": designs.classes_by_images(100, 500),
        "200 classes": designs.all_images(),
    },
    controls=["random-features"],
    contrasts=ends(margin=0.01),
    recipe=RECIPES["random-stem"],
    seeds=3,
    protocols=[probe()],
)
