"""Do more images per class help to find blood cells?   Expect: 30 min on two cores beside the networks of ../2026-11-27-paper."""

from transferlab import Study, designs, detect, ends

study = Study(
    name="blood-cells",
    question="Do more images per class of everyday things help to find blood cells?",
    unit="images per class",
    source="wds:data/tiny_imagenet?taxonomy=wordnet&name=Tiny ImageNet",
    targets=["voc:data/bccd_voc?task=detection&size=256&name=blood cells"],
    conditions={n: designs.images_per_class(n, short="keep") for n in (25, 125, 500)},
    controls=["scratch", "random-features"],
    contrasts=ends(margin=0.01),
    seeds=3,
    protocols=[detect()],
)
