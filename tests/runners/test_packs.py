"""Packs of a store: made once for what they are made from, and again as soon as any of that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.extensions import run_file
from transferlab.images.pack import remarks, write_pack
from transferlab.images.sources import SOURCES
from transferlab.images.spec import open_source, parse_spec
from transferlab.outcomes.store import Store
from transferlab.runners.packs import obtain
from transferlab.specs import Pack

Folder = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "lab", create=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images of each of the classes 0, 1 and 2."""
    pixels = np.random.default_rng(0).integers(0, 256, (36, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "made.npz", images=pixels, labels=np.arange(36) % 3)
    return tmp_path / "made.npz"


def obtained(store: Store, spec: str) -> Pack:
    return obtain(store, spec, 8, skip_bad=False, progress=lambda *_: None)[1]


def test_an_edited_taxonomy_counts_from_the_next_run_on(store: Store, images: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree.csv"
    tree.write_text("child,parent\n0,low\n1,low\n2,high\nlow,all\nhigh,all\n")
    spec = f"npz:{images}?taxonomy={tree}"
    first = obtained(store, spec)
    assert first.taxonomy.parents["1"] == ("low",)
    tree.write_text("child,parent\n0,low\n1,high\n2,high\nlow,all\nhigh,all\n")
    second = obtained(store, spec)
    assert second.taxonomy.parents["1"] == ("high",)
    assert first.digest != second.digest


def test_equal_images_keep_the_name_and_remarks_of_their_own_spec(store: Store, tmp_path: Path, folder: Folder) -> None:
    folder(tmp_path / "photos", ["cat", "dog"], 6)
    assert obtained(store, f"imagefolder:{tmp_path / 'photos'}").name == "photos"
    named = f"imagefolder:{tmp_path / 'photos'}?name=pets"
    assert [obtained(store, named).name for _ in range(2)] == ["pets", "pets"]
    folder(tmp_path / "same", ["cat", "dog"], 6)
    (tmp_path / "same" / "about.txt").write_text("no image")
    same = obtained(store, f"imagefolder:{tmp_path / 'same'}")
    assert same.name == "same" and any("1 file that is not an image was skipped" in remark for remark in remarks(same))


def test_a_store_inside_the_folder_of_images_changes_nothing(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in ``cd photos; transferlab run … --source imagefolder:.``, where the store, its report and a pack come to lie."""
    folder(tmp_path / "photos", ["cat", "dog"], 6)
    monkeypatch.chdir(tmp_path / "photos")
    store, decoded = Store.open(Path("lab"), create=True), list[int]()

    def again() -> Pack:
        return obtain(store, "imagefolder:.", 8, skip_bad=False, progress=lambda spec, done, of: decoded.append(done))[
            1
        ]

    first = again()
    write_pack(
        open_source(parse_spec("imagefolder:.")), Path("photos.pack"), 8, skip_bad=False, progress=lambda *_: None
    )
    Path("report.html").write_text("a report")
    decoded.clear()
    assert again().digest == first.digest and decoded == []


FORMAT = """
import numpy as np
from transferlab import Format
from transferlab.images.source import Item, Source
def read(request):
    items = [Item(str(n), np.full((8, 8, 3), n, np.uint8), "ab"[n // 2 % 2], None) for n in range(24)]
    return Source(name="bars", classes=["a", "b"], fingerprint="the same files", items=lambda: iter(items))
bars = Format(name="bars", title="bars", explained="bars", read=read)
"""


@pytest.fixture
def write_format(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Write a file with the format "bars" and run it."""

    def write(text: str) -> None:
        (tmp_path / "bars.py").write_text(text)
        run_file(tmp_path / "bars.py")

    yield write
    del SOURCES._all["bars"], SOURCES._brought["bars"]


@pytest.mark.parametrize("edit", [("n // 2 % 2", "n % 2"), ('name="bars", title', 'name="bars", version=1, title')])
def test_a_corrected_format_from_outside_packs_its_images_again(
    edit: tuple[str, str], store: Store, write_format: Callable[[str], None]
) -> None:
    made: list[int] = []

    def again() -> Pack:
        return obtain(store, "bars", 8, skip_bad=False, progress=lambda _, done, of: made.append(done))[1]

    write_format(FORMAT)
    first = again()
    made.clear()
    assert again().digest == first.digest
    assert made == []
    write_format(FORMAT.replace(*edit))
    again()
    assert max(made) == 24


def test_what_a_format_had_packed_before_it_was_corrected_is_not_continued(
    tmp_path: Path, write_format: Callable[[str], None]
) -> None:
    def stop(done: int, of: int | None) -> None:
        if done:
            raise UserError("stopped", "here", "go on")

    write_format(FORMAT)
    with pytest.raises(UserError, match="stopped"):
        write_pack(open_source(parse_spec("bars")), tmp_path / "pack", 8, skip_bad=False, progress=stop)
    write_format(FORMAT.replace("n // 2 % 2", "n % 2"))
    made = write_pack(open_source(parse_spec("bars")), tmp_path / "pack", 8, skip_bad=False, progress=lambda *_: None)
    assert made.labels.tolist() == [0, 1] * 12


def test_two_runs_that_pack_the_same_images_without_locks_publish_one_pack(store: Store, images: Path) -> None:
    free = Store.open(store.path, create=False, locks=False)
    others: list[Pack] = []

    def meanwhile(spec: str, done: int, of: int | None) -> None:
        if not others:
            others.append(obtained(free, spec))

    mine = obtain(free, f"npz:{images}", 8, skip_bad=False, progress=meanwhile)[1]
    assert [other.digest for other in others] == [mine.digest]
    assert sorted(path.name for path in store.packs.iterdir()) == sorted(["index", mine.digest])


def test_a_packing_that_was_stopped_goes_on_where_it_was(store: Store, images: Path) -> None:
    def stop(spec: str, done: int, of: int | None) -> None:
        if done:
            raise UserError("stopped", "here", "go on")

    with pytest.raises(UserError, match="stopped"):
        obtain(store, f"npz:{images}", 8, skip_bad=False, progress=stop)
    counts: list[int] = []
    obtain(store, f"npz:{images}", 8, skip_bad=False, progress=lambda _, done, of: counts.append(done))
    assert counts[0] == 36
