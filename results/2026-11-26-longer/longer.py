"""Would longer training change the order?   Expect: 20 min on two cores for three seeds."""

from transferlab import Examples, Recipe, Study, designs, ends

study = Study(
    name="longer",
    question="Images per class again, trained almost three times as long",
    unit="images per class",
    source="wds:data/tiny_imagenet?taxonomy=wordnet.csv&prune=yes",
    targets=[
        "wds:data/cifar100?taxonomy=data/cifar100/classes.csv",
        "imagefolder:data/omniglot/images_background_small2.zip?name=omniglot",
        "imagefolder:data/clothing10/clothing10.zip",
    ],
    conditions={n: designs.images_per_class(n) for n in (25, 125, 500)},
    controls=["random-features"],
    contrasts=ends(margin=0.01),
    seeds=3,
    recipe=Recipe(name="long", length=Examples(700_000)),
)
