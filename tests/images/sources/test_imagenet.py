from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from transferlab.errors import UserError
from transferlab.images.pack import keys, open_pack, write_pack
from transferlab.images.source import Source, at_hand
from transferlab.images.sources.imagenet import FORMAT
from transferlab.images.sources.wnids import imagenet1k_wnids
from transferlab.images.spec import open_source, parse_spec

WNIDS = imagenet1k_wnids()
KIT = "ILSVRC2012_devkit_t12/data"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
# The kit counts classes in an order of its own: here every class is some way off its place in the usual order.
ORDER = [WNIDS[(7 * n + 3) % 1000] for n in range(1000)]
Open = Callable[..., Source]
Write = Callable[[Path, Mapping[str, "bytes | str"]], Path]


def meta(order: list[str] = ORDER, count: int = 1) -> bytes:
    """meta.mat as the kit has it: 1000 classes and, after them, the synsets above them."""
    rows = [(n, wnid, "words", "gloss", 0, 0, count) for n, wnid in enumerate(order, 1)]
    rows.append((1001, "n00001740", "entity", "gloss", 2, 9, 0))
    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "wordnet_height", "num_train_images")
    synsets = np.array(rows, dtype=[(name, object) for name in fields]).reshape(-1, 1)
    file = io.BytesIO()
    savemat(file, {"synsets": synsets})
    return file.getvalue()


def train(
    images: Callable[[int], bytes | str] = lambda n: f"image {n}", n_classes: int = 1000
) -> dict[str, bytes | str]:
    return {f"train/{wnid}/{wnid}_{n}.JPEG": images(n) for n, wnid in enumerate(WNIDS[:n_classes])}


def flat_val(n: int) -> dict[str, bytes | str]:
    return {f"val/ILSVRC2012_val_{i:08d}.JPEG": f"val {i}" for i in range(1, n + 1)}


def kit(*ids: int) -> dict[str, bytes | str]:
    return {f"{KIT}/{TRUTH}": "\n".join(map(str, ids)) + "\n", f"{KIT}/meta.mat": meta()}


def labels_of_val(source: Source) -> list[object]:
    return [item.label for item in source.items() if item.split == "val"]


def test_the_kit_labels_flat_validation_images_in_its_own_order(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    source = opened("imagenet", write_tree(tmp_path, {**train(), **flat_val(3), **kit(1, 1000, 2)}))
    assert labels_of_val(source) == [ORDER[0], ORDER[999], ORDER[1]] and ORDER[0] != WNIDS[0]
    assert tuple(source.classes) == WNIDS
    assert [item.label for item in source.items()][:2] == list(WNIDS[:2])
    assert [item.split for item in source.items()].count("train") == 1000


def test_the_kit_may_stay_in_its_archive(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    files = kit(5, 6)
    kept = write_tree(tmp_path / "kit", {f"./{name}": content for name, content in files.items()})
    root = write_tree(tmp_path / "set", {**train(), **flat_val(2)})
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        tar.add(kept / "ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12")
    assert labels_of_val(opened("imagenet", root)) == [ORDER[4], ORDER[5]]
    whole = (root / "ILSVRC2012_devkit_t12.tar.gz").read_bytes()
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"ILSVRC2012_devkit_t12.tar.gz cannot be read to its end"):
        FORMAT.open(str(root), {})


@pytest.mark.parametrize("order", ["synsets.txt", None])
def test_caffes_list_counts_from_0_in_the_order_of_its_synsets(
    order: str | None, tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    lists = {"val.txt": "ILSVRC2012_val_00000001.JPEG 2\nILSVRC2012_val_00000002.JPEG 0\n"}
    if order:
        lists[order] = "\n".join(reversed(WNIDS))
    source = opened("imagenet", write_tree(tmp_path, {**train(), **flat_val(2), **lists}), partial="yes")
    assert labels_of_val(source) == ([WNIDS[997], WNIDS[999]] if order else [WNIDS[2], WNIDS[0]])


def kaggle(n: int = 2) -> dict[str, bytes | str]:
    base = "ILSVRC/Data/CLS-LOC/"
    rows = "\n".join(f"ILSVRC2012_val_{i:08d},{WNIDS[-i]} 1 2 3 4 {WNIDS[-i]} 5 6 7 8 " for i in range(n, 0, -1))
    return {
        **{base + name: content for name, content in (train() | flat_val(2)).items()},
        base + "test/ILSVRC2012_test_00000001.JPEG": "no label",
        "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml": "<annotation/>",
        "LOC_synset_mapping.txt": "\n".join(f"{wnid} words" for wnid in WNIDS),
        "LOC_val_solution.csv": f"ImageId,PredictionString\n{rows}\n",
    }


def test_kaggles_layout_is_read(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    source = opened("imagenet", write_tree(tmp_path, kaggle()), partial="yes")
    assert labels_of_val(source) == [WNIDS[-1], WNIDS[-2]] and source.n_images == 1002


def test_kaggles_zip_is_read_in_place(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    folder = write_tree(tmp_path / "set", kaggle())
    archive = shutil.make_archive(str(tmp_path / "imagenet"), "zip", folder)
    assert labels_of_val(opened("imagenet", Path(archive), partial="yes")) == [WNIDS[-1], WNIDS[-2]]


def test_validation_folders_need_no_list_and_must_agree_with_one(
    tmp_path: Path, write_tree: Write, opened: Open
) -> None:
    val = {f"val/{WNIDS[9]}/ILSVRC2012_val_00000001.JPEG": "1"}
    root = write_tree(tmp_path, {**train(), **val})
    assert labels_of_val(opened("imagenet", root, partial="yes")) == [WNIDS[9]]
    write_tree(root, {"LOC_val_solution.csv": f"ImageId,PredictionString\nILSVRC2012_val_00000001,{WNIDS[8]} 1 1 2 2"})
    with pytest.raises(UserError, match=r"LOC_val_solution.csv does not agree with the folder of val/.*000001.JPEG"):
        FORMAT.open(str(root), {"partial": "yes"})


WHOLE = {**train(), **flat_val(2), **kit(1, 2)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def whole(kept: Path, write_tree: Write) -> Path:
    """The whole set, mended after each test rather than written anew: it is a thousand files."""
    for path in [path for path in kept.rglob("*") if path.is_file()]:
        if path.relative_to(kept).as_posix() not in WHOLE:
            path.unlink()
    return write_tree(kept, {n: c for n, c in WHOLE.items() if not (kept / n).exists() or n.startswith(KIT)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{KIT}/{TRUTH}": None, f"{KIT}/meta.mat": None}, r"flat and no list labels them.*ILSVRC2012_devkit_t12.tar.gz"),
        ({f"{KIT}/meta.mat": None}, r"meta.mat is not there.*copy the whole development kit"),
        ({f"{KIT}/{TRUTH}": None}, r"no list labels them.*ground_truth.txt"),
        ({f"{KIT}/{TRUTH}": "1\n2\n3\n"}, r"names 3 images and val/ holds 2, without.*val_00000003.JPEG"),
        ({f"{KIT}/{TRUTH}": "1\n"}, r"no label for 1 images of val/.*val_00000002.JPEG.*it names 1"),
        ({f"{KIT}/{TRUTH}": "1\n1001\n"}, r"ground_truth.txt gives ILSVRC2012_val_00000002 the label '1001'"),
        ({f"{KIT}/{TRUTH}": "1\ncat\n"}, r"the label 'cat'"),
        ({f"{KIT}/{TRUTH}": "1 2\n"}, r"line 1 of .*ground_truth.txt has 2 columns, 1 were expected"),
        ({f"{KIT}/{TRUTH}": b"\xff\xfe1\n"}, r"ground_truth.txt is not text in UTF-8"),
        ({f"{KIT}/{TRUTH}": "\n"}, r"ground_truth.txt is empty"),
        ({f"{KIT}/meta.mat": b"MATLAB no more"}, r"meta.mat cannot be read"),
        ({f"{KIT}/meta.mat": meta()[:3000]}, r"meta.mat cannot be read"),
        ({f"{KIT}/meta.mat": meta(["n99999999", *ORDER[1:]])}, r"meta.mat does not name the 1000 classes"),
        ({f"{KIT}/meta.mat": meta(count=2)}, r"holds 1 images, 2 were expected by meta.mat \(and 999 other classes"),
        ({f"train/{WNIDS[3]}/{WNIDS[3]}_3.JPEG": None}, rf"images of 999 of 1,000 classes, but for example none of {WNIDS[3]}"),
        ({f"train/{WNIDS[3]}/more.JPEG": b""}, rf"train/{WNIDS[3]} holds 2 images, 1 were expected"),
        ({"train/n99999999/1.JPEG": b""}, r"train/n99999999/1.JPEG is not in a folder of one of ImageNet-1k's 1000 classes"),
        ({"train/1.JPEG": b""}, r"train/1.JPEG is not in a folder"),
        ({f"val/{WNIDS[0]}/1.JPEG": b""}, r"no label for 1 images of val/"),
        (dict.fromkeys(flat_val(2)), r"val/ holds 0 images, 50,000 were expected"),
        (dict.fromkeys(train()), r"there is no folder train with images.*train/n01440764"),
        ({"val.txt": "a.JPEG 5000\n", f"{KIT}/{TRUTH}": None}, r"val.txt gives a the label '5000'"),
        ({"val.txt": "a.JPEG 1\na.JPEG 2", f"{KIT}/{TRUTH}": None}, r"val.txt names an image twice"),
        ({"LOC_val_solution.csv": "ImageId,PredictionString\nILSVRC2012_val_00000001,\n"}, r"LOC_val_solution.csv gives"),
    ],
)  # fmt: skip
def test_what_is_missing_or_disagrees_is_named(
    change: dict[str, bytes | str | None], message: str, whole: Path, write_tree: Write
) -> None:
    for name in change:
        (whole / name).unlink(missing_ok=True)
    write_tree(whole, {name: content for name, content in change.items() if content is not None})
    with pytest.raises(UserError, match=message):
        FORMAT.open(str(whole), {})


def test_without_a_kit_the_official_numbers_are_expected(tmp_path: Path, write_tree: Write) -> None:
    val = {f"val/{WNIDS[0]}/1.JPEG": "1"}
    root = write_tree(tmp_path, {**train(), **val})
    with pytest.raises(UserError, match=r"val/ holds 1 images, 50,000 were expected.*partial=yes"):
        FORMAT.open(str(root), {})
    with pytest.raises(UserError, match=r"partial=maybe is not valid.*choose yes or no"):
        FORMAT.open(str(root), {"partial": "maybe"})


def test_a_part_is_read_if_asked_for_and_noted(tmp_path: Path, write_tree: Write, opened: Open) -> None:
    val = {f"val/{WNIDS[n]}/{n}.JPEG": "1" for n in (0, 5)}
    source = opened("imagenet", write_tree(tmp_path, {**train(n_classes=2), **val}), partial="yes")
    assert tuple(source.classes) == WNIDS[:2] and source.n_images == 3
    assert any("images of 2 of 1,000 classes" in note for note in source.notes)
    assert any("1 validation images of classes without training images were left out" in note for note in source.notes)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def archives(root: Path, n_val: int = 2) -> Path:
    """The archives as they are downloaded; classes come in the kit's order."""
    inner = {f"{wnid}.tar": tar_of({f"{wnid}_{n}.JPEG": f"image {n}".encode()}) for n, wnid in enumerate(ORDER)}
    (root / "ILSVRC2012_img_train.tar").write_bytes(tar_of(inner))
    val = {f"ILSVRC2012_val_{i:08d}.JPEG": f"val {i}".encode() for i in range(1, n_val + 1)}
    (root / "ILSVRC2012_img_val.tar").write_bytes(tar_of(val))
    return root


def test_the_archives_are_read_through_in_place(tmp_path: Path, write_tree: Write) -> None:
    root = archives(write_tree(tmp_path, kit(7, 8)))
    before = sorted(tmp_path.rglob("*"))
    source = FORMAT.open(str(root), {})
    assert tuple(source.classes) == WNIDS
    found = {item.key: (item.label, item.split, at_hand(item.data)) for item in source.items()}
    assert len(found) == 1002
    assert found[f"train/{ORDER[2]}/{ORDER[2]}_2.JPEG"] == (ORDER[2], "train", b"image 2")
    assert found["val/ILSVRC2012_val_00000002.JPEG"] == (ORDER[7], "val", b"val 2")
    assert sorted(tmp_path.rglob("*")) == before
    assert FORMAT.open(str(root), {}).fingerprint == source.fingerprint


def test_archives_that_are_not_whole_are_named(tmp_path: Path, write_tree: Write) -> None:
    root = archives(write_tree(tmp_path, kit(7, 8, 9)))
    with pytest.raises(UserError, match=r"ILSVRC2012_img_val.tar holds 2 of the 3 images.*val_00000003.JPEG"):
        list(FORMAT.open(str(root), {}).items())
    (tmp_path / KIT / "meta.mat").write_bytes(meta(count=2))
    with pytest.raises(UserError, match=r"n\d+.tar in ILSVRC2012_img_train.tar holds 1 images, 2 were expected"):
        list(FORMAT.open(str(root), {}).items())
    whole = (root / "ILSVRC2012_img_train.tar").read_bytes()
    for share in (0.3, 0.7):
        (root / "ILSVRC2012_img_train.tar").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UserError, match=r"ILSVRC2012_img_train.tar (cannot be read to its end|holds \d+ archives)"):
            FORMAT.open(str(root), {})
    (root / "ILSVRC2012_img_train.tar").write_bytes(whole)
    (root / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(UserError, match=r"ILSVRC2012_img_val.tar is not there"):
        FORMAT.open(str(root), {})


def jpeg(mode: str = "RGB", form: str = "JPEG", size: tuple[int, int] = (20, 16)) -> bytes:
    file = io.BytesIO()
    # 10 % ink of each kind is a bright colour, and a dark one to whoever reads Adobe's inverted values as they stand.
    colour = {"RGB": (230, 220, 200), "L": 200, "CMYK": (25, 25, 25, 0)}[mode]
    Image.new(mode, size, colour).save(file, form)
    return file.getvalue()


def test_cmyk_grey_and_a_png_called_jpeg_are_decoded(tmp_path: Path, write_tree: Write) -> None:
    """ImageNet has 22 CMYK files, many grey ones, and a PNG, n02105855_2933.JPEG."""
    odd = [jpeg("CMYK"), jpeg("L"), jpeg(form="PNG"), jpeg()]
    files = {f"train/{wnid}/{n}.JPEG": image for wnid in WNIDS[:2] for n, image in enumerate(odd)}
    root = write_tree(tmp_path / "set", files)
    source = open_source(parse_spec(f"imagenet:{root}?partial=yes"))
    write_pack(source, tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None)
    pack = open_pack(tmp_path / "pack", check=True)
    assert len(pack.images) == 8 and pack.images.min() > 180
    assert keys(tmp_path / "pack")[0] == f"train/{WNIDS[0]}/0.JPEG"


def test_genuine_photographs_are_read_as_a_part(real_data: Path, opened: Open) -> None:
    source = opened("imagenet", real_data / "imagenet_sample", partial="yes")
    assert source.n_images == 60 and len(source.classes) == 60 and set(source.classes) <= set(WNIDS)
    with pytest.raises(UserError, match=r"there are no images|val/ holds 0 images, 50,000"):
        FORMAT.open(str(real_data / "imagenet_sample"), {})
