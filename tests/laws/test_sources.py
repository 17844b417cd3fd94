"""Laws for every format of images: one order, unique names, known classes, documented facts, the same pack every time."""

from __future__ import annotations

import ast
import contextlib
import csv
import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import transferlab
from transferlab.errors import UserError
from transferlab.images.decode import BadImage, decode, decode_whole
from transferlab.images.format import Format, Text
from transferlab.images.pack import open_pack, write_pack
from transferlab.images.source import Source
from transferlab.images.sources import SOURCES
from transferlab.images.spec import open_source, parse_spec

N = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 28, 28, 3)).astype(np.uint8)
CLASSES = [str(i % 2) for i in range(N)]


def png(i: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS[i]).save(file, "PNG")
    return file.getvalue()


def imagefolder(folder: Path) -> str:
    for i, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{i}.png").write_bytes(png(i))
    return f"imagefolder:{folder}"


def wds(folder: Path) -> str:
    with tarfile.open(folder / "set.tar", "w") as tar:
        for i, name in enumerate(CLASSES):
            for ending, data in (("png", png(i)), ("cls", name.encode())):
                info = tarfile.TarInfo(f"{i}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return f"wds:{folder}/set.tar"


def table(folder: Path) -> str:
    imagefolder(folder)
    with (folder / "set.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((f"{c}/{i}.png", c) for i, c in enumerate(CLASSES))])
    return f"csv:{folder}/set.csv"


def npz(folder: Path) -> str:
    np.savez(folder / "set.npz", images=PIXELS, labels=np.array(CLASSES))
    return f"npz:{folder}/set.npz"


def torchvision(folder: Path) -> str:
    """MNIST's files, of which every digit needs one image."""
    for part in ("train", "t10k"):
        labels = np.arange(N, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", PIXELS[..., 0]), ("labels-idx1", labels)):
            (folder / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
            header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
            (folder / "MNIST" / "raw" / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return f"torchvision:MNIST?root={folder}"


def hf(folder: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    from pyarrow import parquet

    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(N)]
    parquet.write_table(pyarrow.table({"image": images, "label": CLASSES}), folder / "set.parquet")
    return f"hf:{folder}/set.parquet"


def imagenet(folder: Path) -> str:
    wnids = ("n01440764", "n01443537")
    for i, name in enumerate(CLASSES):
        path = folder / ("val" if i > 9 else "train") / wnids[int(name)] / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return f"imagenet:{folder}?partial=yes&resplit=yes"


def tiny_imagenet(folder: Path) -> str:
    wnids = ("n01440764", "n01443537")
    lists: dict[str, str] = {"wnids.txt": f"{wnids[0]}\n{wnids[1]}\n", "val/val_annotations.txt": ""}
    for i, name in enumerate(CLASSES):
        wnid = wnids[int(name)]
        if i < 8:
            path, list_, row = f"train/{wnid}/images/{i}.JPEG", f"train/{wnid}/{wnid}_boxes.txt", f"{i}.JPEG"
        else:
            path, list_, row = f"val/images/{i}.JPEG", "val/val_annotations.txt", f"{i}.JPEG\t{wnid}"
        lists[list_] = lists.get(list_, "") + f"{row}\t0\t0\t9\t9\n"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(i))
    for list_, text in lists.items():
        (folder / list_).write_text(text)
    return f"tiny-imagenet:{folder}?resplit=yes"


def voc(folder: Path) -> str:
    for i, name in enumerate(CLASSES):
        for kind, content in (("JPEGImages", png(i)), ("Annotations", b"<annotation><object><name>%b</name>"
                                                       b"</object></annotation>" % name.encode())):  # fmt: skip
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / f"{i}.{'jpg' if kind == 'JPEGImages' else 'xml'}").write_bytes(content)
    return f"voc:{folder}"


def coco(folder: Path) -> str:
    images, annotations = [], []
    for i, name in enumerate(CLASSES):
        (folder / f"{i}.png").write_bytes(png(i))
        images.append({"id": i, "file_name": f"{i}.png", "width": 28, "height": 28})
        annotations.append({"id": i + 1, "image_id": i, "category_id": int(name), "bbox": [2, 3, 9, 9]})
    categories = [{"id": k, "name": str(k)} for k in (0, 1)]
    held = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "set.json").write_text(json.dumps(held))
    return f"coco:{folder}/set.json"


def scenes(folder: Path) -> list[str]:
    """Images of two scenes; their paths below the folder."""
    paths = [f"/{'ab'[int(name)]}/{'ab'[int(name)]}bey/{i}.jpg" for i, name in enumerate(CLASSES)]
    for i, path in enumerate(paths):
        (folder / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (folder / path[1:]).write_bytes(png(i))
    return paths


def sun397(folder: Path) -> str:
    paths = scenes(folder)
    (folder / "ClassName.txt").write_text("/a/abey\n/b/bbey\n")
    (folder / "Training_01.txt").write_text("\n".join(paths[:8]))
    (folder / "Testing_01.txt").write_text("\n".join(paths[8:]))
    return f"sun397:{folder}"


def places365(folder: Path) -> str:
    paths = scenes(folder / "data_256")
    (folder / "val_256").mkdir()
    for i in (10, 11):
        (folder / "data_256" / paths[i][1:]).rename(folder / "val_256" / f"{i}.jpg")
    (folder / "categories_places365.txt").write_text("/a/abey 0\n/b/bbey 1\n")
    (folder / "places365_train_standard.txt").write_text("".join(f"{p} {i % 2}\n" for i, p in enumerate(paths[:10])))
    (folder / "places365_val.txt").write_text("10.jpg 0\n11.jpg 1\n")
    return f"places365:{folder}?resplit=yes"


def cifar100(folder: Path) -> str:
    rows = [bytes([0, int(name)]) + bytes([i]) * 3072 for i, name in enumerate(CLASSES)]
    for file, held in (("train.bin", b"".join(rows[:8])), ("test.bin", b"".join(rows[8:])),
                       ("fine_label_names.txt", b"cat\ndog\n"), ("coarse_label_names.txt", b"beasts\n")):  # fmt: skip
        (folder / file).write_bytes(held)
    return f"cifar100:{folder}"


def omniglot(folder: Path) -> str:
    with zipfile.ZipFile(folder / "images_background_small1.zip", "w") as file:
        for k in range(136):
            for drawer in range(20):
                file.writestr(f"images_background_small1/A{k % 5}/character{k // 5:02d}/{k}_{drawer}.png", png(k % N))
    return f"omniglot:{folder}"


def inaturalist(folder: Path) -> str:
    for i, name in enumerate(CLASSES):
        path = folder / ("val" if i > 9 else "train") / f"0000{name}_A_B_C_D_E_G_{'xy'[int(name)]}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return f"inaturalist:{folder}?resplit=yes"


EXAMPLES: dict[str, Callable[[Path], str]] = {
    "imagefolder": imagefolder,
    "wds": wds,
    "csv": table,
    "npz": npz,
    "torchvision": torchvision,
    "hf": hf,
    "imagenet": imagenet,
    "tiny-imagenet": tiny_imagenet,
    "voc": voc,
    "coco": coco,
    "sun397": sun397,
    "places365": places365,
    "cifar100": cifar100,
    "omniglot": omniglot,
    "inaturalist": inaturalist,
    "digits": lambda _: "digits",
    "toy": lambda _: "toy?task=scenes&images_per_class=6",
}


def test_every_format_has_an_example_here() -> None:
    assert {*EXAMPLES, "pack"} == set(SOURCES)
    assert [form.name for form in SOURCES.values() if form.open_pack] == ["pack"]


def test_a_pack_is_opened_and_not_decoded_again(tmp_path: Path, opened: Callable[[str], Source]) -> None:
    made = write_pack(opened("digits"), tmp_path / "a", 8, skip_bad=False, progress=lambda *_: None)
    spec = parse_spec(f"pack:{tmp_path}/a")
    pack = spec.pack()
    assert pack is not None and pack.digest == made.digest
    with pytest.raises(UserError, match="decoded already"):
        open_source(spec)
    assert all(parse_spec(EXAMPLES[form](tmp_path)).pack() is None for form in ("digits", "toy"))


def documented(form: Format) -> list[str]:
    """A format's row in docs/data-sets.md."""
    options = [
        f"`{name}{'' if p.default is None else f'={p.default}'}`: {p.means}"
        + ("" if isinstance(p, Text) else f" ({p.allowed})")
        for name, p in form.parameters.items()
    ]
    return [
        f"`{form.name}`",
        form.title,
        form.explained,
        form.path or "none",
        ", ".join(form.tasks),
        "; ".join(options),
    ]


def test_the_documentation_tells_what_every_format_is() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "data-sets.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for form in SOURCES.values():
        assert documented(form) in rows, "| " + " | ".join(documented(form)) + " |"


@pytest.mark.parametrize("form", SOURCES.values(), ids=list(SOURCES))
def test_a_format_states_all_its_facts(form: Format) -> None:
    assert form.title and form.explained and form.tasks
    assert not form.root or form.parameters[form.root].required
    for name, parameter in form.options.items():
        assert name.replace("_", "").isalpha() and parameter.means
        assert parameter.default is None or parameter.allows(parameter.default)


def test_no_other_file_compares_the_name_of_a_format() -> None:
    """The name stands in the format's own file, and in texts for people."""
    root = Path(transferlab.__file__).parent
    wrong: list[str] = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            if isinstance(node, ast.MatchValue):
                compared = [node.value]
            named = {c.value for part in compared for c in ast.walk(part) if isinstance(c, ast.Constant)} & set(SOURCES)
            asked = any("format" in ast.unparse(part) or "spec" in ast.unparse(part) for part in compared)
            if named and asked:
                wrong.append(f"{path.relative_to(root)}: {ast.unparse(node)}")
    assert wrong == []


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Source]:
    """The example of a format, opened."""

    def open_(form: str) -> Source:
        folder = tmp_path / "images"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return open_source(parse_spec(EXAMPLES[form](folder)))

    return open_


@pytest.mark.parametrize("form", EXAMPLES)
def test_items_come_in_one_order_with_unique_names_and_known_classes(
    form: str, opened: Callable[[str], Source]
) -> None:
    source = opened(form)
    first, again = ([(i.key, i.label, i.split) for i in source.items()] for _ in range(2))
    assert first == again
    assert len({key for key, _, _ in first}) == len(first) >= N
    assert source.n_images in (None, len(first))
    assert {name for _, label, _ in first for name in ((label,) if isinstance(label, str) else label)} == set(
        source.classes
    )
    assert {split for _, _, split in first} <= {"train", "val", "test", None}
    task = "detection" if source.metric else "labels" if source.multi_label else "classes"
    assert task in SOURCES[form].tasks
    if source.taxonomy is not None:
        assert tuple(source.taxonomy.leaves) == tuple(source.classes)


@pytest.mark.parametrize("form", [form for form in EXAMPLES if form != "digits"])  # they differ in size alone
def test_the_pack_does_not_depend_on_when_and_by_how_many_it_is_made(
    form: str, opened: Callable[[str], Source], tmp_path: Path
) -> None:
    packs = [
        write_pack(opened(form), tmp_path / str(workers), 8, skip_bad=False, progress=lambda *_: None, workers=workers)
        for workers in (1, 3)
    ]
    assert packs[0].digest == packs[1].digest
    pack = open_pack(tmp_path / "1", check=True)
    assert len(set(pack.image_ids.tolist())) == len(pack.labels) == len(pack.images)
    assert set(pack.split.tolist()) == {0, 1, 2}
    assert pack.images[0].dtype == np.uint8 and {pack.images[row].shape for row in range(len(pack.images))} == {
        (8, 8, 3)
    }


# These take files by their names out of a folder that may hold anything; others name one file, or nothing.
APART = {"torchvision", "cifar100", "omniglot"}


@pytest.mark.parametrize("form", [form for form in EXAMPLES if form not in {"digits", "toy", *APART}])
def test_a_file_more_in_any_folder_is_told_or_refused(form: str, tmp_path: Path) -> None:
    spec = EXAMPLES[form](tmp_path)
    folders = sorted({file.parent for file in tmp_path.rglob("*") if file.is_file()})
    if spec.endswith(tmp_path.name):  # else it names one file
        for folder in folders:
            (folder / "more.md").write_text("more")
            try:
                notes = " ".join(open_source(parse_spec(spec)).notes)
            except UserError as error:
                notes = str(error)
            assert "more.md" in notes or "1 .md" in notes, folder
            (folder / "more.md").unlink()


def zipped(folder: Path) -> str:
    imagefolder(folder / "held")
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((folder / "held").rglob("*.png")):
            archive.write(file, file.relative_to(folder / "held"))
    shutil.rmtree(folder / "held")
    return f"imagefolder:{folder}/set.zip"


def gzipped(folder: Path) -> str:
    wds(folder)
    (folder / "set.tar.gz").write_bytes(gzip.compress((folder / "set.tar").read_bytes(), mtime=0))
    (folder / "set.tar").unlink()
    return f"wds:{folder}"


def arrow(folder: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    table = pyarrow.table({"image": [{"bytes": png(i)} for i in range(N)], "label": CLASSES})
    with pyarrow.OSFile(f"{folder}/data.arrow", "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": "train"}))
    return f"hf:{folder}"


def pictures(folder: Path) -> str:
    """Images in every format that Pillow writes here, so that none of their decoders ends in a traceback."""
    kinds = ["TIFF", "JPEG", "WEBP", "GIF", "BMP", "PPM", *(["AVIF"] if features.check("avif") else [])]
    for i, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        kind = kinds[i % len(kinds)]
        Image.fromarray(PIXELS[i]).save(folder / name / f"{i}.{kind.lower()}", kind)
    return f"imagefolder:{folder}"


# Further forms of what formats read.
FORMS = {"zip": zipped, "gzip": gzipped, "arrow": arrow, "pictures": pictures}
PICTURES = {".png", ".jpg", ".JPEG", ".tiff", ".jpeg", ".webp", ".gif", ".bmp", ".ppm", ".avif"}
WORDS = (
    b"-1",
    b"1e999",
    b"999999999999",
    b"../../",
    b"\\0",
    b"\xff\xfe",
    b"[" * 5000,
    b"",
    b"null",
    b"NaN",
    b"\n\n",
    b",,,,",
)


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes with one thing wrong: flipped, cut short, a part repeated, left out or replaced by an odd word."""
    at = sorted(random.integers(0, len(data) + 1, 2).tolist())
    kind = random.integers(0, 5)
    if kind == 0:
        held = bytearray(data)
        for place in random.integers(0, max(1, len(data)), 3).tolist():
            held[place : place + 1] = bytes([int(random.integers(0, 256))])
        return bytes(held)
    if kind == 1:
        return data[: at[0]]
    if kind == 2:
        return data[: at[1]] + data[at[0] :]
    if kind == 3:
        return data[: at[0]] + data[at[0] + int(random.integers(1, 9)) :]
    return data[: at[0]] + WORDS[int(random.integers(0, len(WORDS)))] + data[at[0] :]


@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in (*EXAMPLES, *FORMS) if form not in ("digits", "toy")])
def test_damaged_files_give_images_or_a_paragraph_and_never_another_label(form: str, tmp_path: Path) -> None:
    """Formats are opened without the boundary around them, which would hide what they do not foresee."""
    spec = parse_spec({**EXAMPLES, **FORMS}[form](tmp_path))
    files = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}
    chosen = list(files)[:: max(1, len(files) // 40)]

    def labels() -> dict[bytes, object]:
        found: dict[bytes, object] = {}
        for item in spec.format.open(spec.path, spec.options).items():
            with contextlib.suppress(BadImage):
                pixels = decode_whole(item.data, 64, item.objects)[0] if item.objects else decode(item.data, 28)
                found[pixels.tobytes()] = item.label
        return found

    true = labels()
    random = np.random.default_rng([*EXAMPLES, *FORMS].index(form))
    for number in range(40 if form == "omniglot" else 400):
        file = chosen[int(random.integers(0, len(chosen)))]
        file.write_bytes(mutated(files[file], random))
        try:
            found = labels()
        except UserError as error:
            assert str(error).count("\n") == 0 and len(str(error)) < 2000, number
        else:
            if file.suffix in PICTURES:
                assert all(found[pixels] == true[pixels] for pixels in found.keys() & true.keys()), number
        file.write_bytes(files[file])
