"""Named recipes: how networks are trained, and what each costs."""

from __future__ import annotations

from dataclasses import replace

from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Recipe

SMALL = Recipe(name="small")

RECIPES: dict[str, Recipe] = {
    # 250,000 examples; about 80 seconds a network on one core of an AMD EPYC with bf16 at 32 px.
    "small": SMALL,
    # The smallest that leaves random features behind; for the demo, tests and first looks.
    "quick": replace(SMALL, name="quick", length=Examples(24_000)),
    # A check that conditions keep their order when trained longer.
    "long": replace(SMALL, name="long", length=Examples(700_000)),
    # Larger backbones by name: AdamW, colour and cutout.
    "adamw": Recipe(
        name="adamw", optimiser="adamw", lr=1e-3, weight_decay=0.05, batch=128, schedule="cosine", warmup=0.05,
        augmentation=Augmentation(crop_px=4, flip=True, cutout_px=8, colour=0.2), length=Examples(500_000),
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


def small_width(detail: str, image_px: int) -> int:
    """The width that ``small:WIDTH`` names (32 where none is given), checked without torch.

    Raises:
        UserError: no width, one that is out of range, or images that are too small.
    """
    width = int(detail or 32) if detail.isdecimal() or not detail else 0
    if not 4 <= width <= 512 or image_px < 16:
        raise UserError(
            f"the small backbone cannot be built as small:{detail} at {image_px} px",
            "widths are whole numbers from 4 to 512, images 16 px or more",
            "use for example small or small:48",
        )
    return width
