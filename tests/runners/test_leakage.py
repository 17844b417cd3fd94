"""An audit finds planted copies under the names they have, keeps them in the store, and says what is wrong with its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferlab.errors import UserError
from transferlab.images.likeness import name_of_findings
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import verify
from transferlab.runners.leakage import Audit, audit, draw, pairs

PX = 32
QUIET = {"packing": lambda *_: None, "comparing": lambda *_: None}


def pictures(n: int, seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (n, 7, 7, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(x).resize((PX, PX), Image.Resampling.BICUBIC)) for x in small])


def saved(path: Path, images: np.ndarray, splits: tuple[str, ...] = ("train", "val", "test")) -> str:
    split = np.array(splits)[np.arange(len(images)) // 2 % len(splits)]
    np.savez(path, images=images, labels=np.array(["p", "q"])[np.arange(len(images)) % 2], split=split)
    return f"npz:{path}"


@pytest.fixture
def planted(tmp_path: Path) -> tuple[str, str]:
    """Source and target; the target's test images 4 and 5 are a mirrored and an equal copy of the source's 0 and 1."""
    source, target = pictures(60, 1), pictures(60, 2)
    target[4], target[5] = source[0][:, ::-1], source[1]
    target[10] = target[6]  # a test image that is also a training image
    target[7] = source[13]  # a training image that is in the source
    return saved(tmp_path / "source.npz", source), saved(tmp_path / "target.npz", target)


def audited(tmp_path: Path, source: str, *targets: str) -> tuple[Store, list[Audit]]:
    store = Store.open(tmp_path / "lab", create=True)
    return store, audit(store, source, targets, PX, **QUIET)


def test_planted_copies_are_found_and_kept(tmp_path: Path, planted: tuple[str, str]) -> None:
    store, (found,) = audited(tmp_path, *planted)
    test, train, within = found.found.test, found.found.train, found.found.within
    assert (test.n, train.n, found.found.n_source) == (20, 40, 20)
    assert test.rows == (4, 5) and test.of == (0, 1) and test.exact == (False, True)
    assert train.rows == (7,) and train.of == (13,)
    assert within.rows == (10,) and within.of == (6,) and within.exact == (True,)
    kept = store.pack_index(name_of_findings(found.source.digest, found.target.digest))
    assert kept is not None and kept["test"]["rows"] == [4, 5]
    assert verify(store) == []


def test_pairs_are_told_by_the_names_of_the_images(tmp_path: Path, planted: tuple[str, str]) -> None:
    _, audits = audited(tmp_path, *planted)
    told = pairs(audits)
    assert [(each["list"], each["exact"]) for each in told] == [
        ("test", False), ("test", True), ("train", True), ("within", True)
    ]  # fmt: skip
    assert all(isinstance(each["image"], str) and isinstance(each["like"], str) for each in told)
    draw(audits, tmp_path / "new" / "pairs.png")
    with Image.open(tmp_path / "new" / "pairs.png") as sheet:
        assert sheet.width > 200
    with pytest.raises(UserError, match="cannot be written"):
        draw(audits, tmp_path)


def test_nothing_alike_still_gives_a_picture(tmp_path: Path) -> None:
    _, audits = audited(
        tmp_path, saved(tmp_path / "a.npz", pictures(30, 1)), saved(tmp_path / "b.npz", pictures(30, 2))
    )
    assert pairs(audits) == []
    draw(audits, tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").is_file()


def test_a_source_as_its_own_target_is_not_its_own_copy(tmp_path: Path) -> None:
    images = pictures(60, 1)
    images[4] = images[0]
    spec = saved(tmp_path / "a.npz", images)
    _, (found,) = audited(tmp_path, spec, spec)
    assert found.found.test.rows == found.found.within.rows == (4,) and found.found.train.n == 0


def test_a_target_without_test_images_is_told_before_anything_is_compared(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.npz", pictures(30, 1))
    target = saved(tmp_path / "b.npz", pictures(30, 2), ("train", "val"))
    looked: list[str] = []
    progress = {**QUIET, "comparing": lambda text, *_: looked.append(text)}
    with pytest.raises(UserError, match="no test split .*b"):
        audit(Store.open(tmp_path / "lab", create=True), source, [target], PX, **progress)
    assert not looked
