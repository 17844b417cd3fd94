"""Torn, flipped and zeroed bytes in any kind of file are named, set aside and made again: the same table."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from transferlab.identity import digest
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import quarantine, verify
from transferlab.runners.packs import problems


def flip(data: bytes) -> bytes:
    at = len(data) * 2 // 3
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def tear(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zero(data: bytes) -> bytes:
    return bytes(len(data))


# Every kind of file, each in a place of its own; flips keep the size, which only hashes find.
HARMS = {
    "packs/*/images.u8": flip,
    "packs/*/manifest.json": tear,
    "packs/index/*.json": flip,
    "labels/*.npz": zero,
    "subsets/*.npz": zero,
    "studies/*.json": flip,
    "notes/*.json": tear,
    "cells/*/*/weights-*.safetensors": flip,
    "cells/*/*/rows-*.npz": flip,
    "cells/*/*/record-*.json": zero,
}


def test_damage_of_every_kind_is_named_set_aside_and_made_again(tmp_path: Path, lab: Any, whole: Path) -> None:
    path = shutil.copytree(whole, tmp_path / "lab")
    harmed: set[Path] = set()
    for pattern, harm in HARMS.items():
        file = next(p for p in sorted(path.glob(pattern)) if p.parent not in harmed)
        file.write_bytes(harm(file.read_bytes()))
        harmed.add(file.parent if pattern.startswith(("cells", "packs/*")) else file)
    store = Store.open(path, create=False)
    found = [*verify(store), *problems(store)]
    assert {p.path for p in found} == harmed
    for problem in found:
        quarantine(store, problem)
    assert [*verify(store), *problems(store)] == []
    done = lab.do("run", path)
    assert done.returncode == 0, done.stderr
    assert lab.outcome(path) == lab.outcome(whole)
    assert [*verify(store), *problems(store)] == []


def test_the_records_of_a_run_hold_all_that_their_keys_were_made_from(whole: Path) -> None:
    store = Store.open(whole, create=False)
    records = [store.record(key) for key in store.done()]
    assert [r["key"] for r in records if r] == [digest(*r["inputs"]) for r in records if r]
    kinds = Counter((r["kind"], "network" in r) for r in records if r)
    assert kinds == {("pretrain", False): 2, ("source", False): 2, ("transfer", False): 2, ("transfer", True): 1}
    (untrained,) = (r for r in records if r and "network" in r)
    assert untrained["inputs"][3]["network"] == digest(*untrained["network"])


def test_verify_names_what_it_sets_aside_and_exits_with_one(tmp_path: Path, lab: Any, whole: Path) -> None:
    path = shutil.copytree(whole, tmp_path / "lab")
    file = next(path.glob("cells/*/*/rows-*.npz"))
    file.write_bytes(flip(file.read_bytes()))
    first, second = lab.do("verify", path), lab.do("verify", path)
    assert (first.returncode, second.returncode) == (1, 0)
    assert str(file.parent) in first.stdout and "set aside" in first.stdout
    assert "as it was written" in second.stdout
    standing = lab.do("status", path)
    assert "1 missing" in standing.stdout


def test_damaged_weights_fail_what_needs_them_with_the_remedy(tmp_path: Path, lab: Any, whole: Path) -> None:
    path = shutil.copytree(whole, tmp_path / "lab")
    for file in path.glob("cells/*/*/weights-*.safetensors"):
        file.write_bytes(flip(file.read_bytes()))
    store = Store.open(path, create=False)
    for file in path.glob("cells/*/*/rows-*.npz"):
        shutil.rmtree(file.parent)
    failed = lab.do("run", path)
    assert failed.returncode == 1
    assert failed.stderr.count("weights.safetensors is not what was written") >= 2
    assert "Traceback" not in failed.stderr
    assert len([p for p in verify(store) if "weights" in p.what]) == 2


def test_reading_commands_tell_of_a_damaged_study_and_of_a_store_of_another_format(
    tmp_path: Path, lab: Any, whole: Path
) -> None:
    path = shutil.copytree(whole, tmp_path / "lab")
    for name, data, words in (
        ("studies", b"{", "transferlab verify"),
        ("lab.json", b'{"format": 3}', "newer"),
        ("lab.json", b'{"format": 1}', "name another folder with --store"),
    ):
        file = next(path.glob(f"{name}/*.json"), path / name)
        file.write_bytes(data)
        for verb in ("status", "table", "report") if name == "studies" else ("status",):
            told = lab.do(verb, path)
            assert told.returncode == 2
            assert words in told.stderr and "Traceback" not in told.stderr


def test_a_run_mends_a_lost_mark_a_damaged_pack_and_a_file_in_a_cells_place(
    tmp_path: Path, lab: Any, whole: Path
) -> None:
    path = shutil.copytree(whole, tmp_path / "lab")
    (path / "lab.json").unlink()
    pack = next(path.glob("packs/*/labels.npy")).parent
    (pack / "manifest.json").write_bytes(tear((pack / "manifest.json").read_bytes()))
    cell = next(path.glob("cells/*/*/rows-*.npz")).parent
    shutil.rmtree(cell)
    cell.write_bytes(b"")
    told = lab.do("verify", path)
    assert told.returncode == 1 and str(cell) in told.stdout and str(pack) in told.stdout
    done = lab.do("run", path)
    assert done.returncode == 0, done.stderr
    assert lab.outcome(path) == lab.outcome(whole)
    (pack / "manifest.json").write_bytes(tear((pack / "manifest.json").read_bytes()))
    assert lab.do("plan", path).returncode == 0
    assert lab.do("verify", path).returncode == 0


def test_full_and_closed_standard_output_end_in_a_paragraph(lab: Any, whole: Path) -> None:
    for verb in ("status", "table", "verify"):
        for output, code in (("> /dev/full", 2), (">&-", 2), ("| true", 0)):
            line = f"{shlex.join(lab.words(verb, whole))} {output}"
            told = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
            assert told.returncode == code, told.stderr
            assert "Traceback" not in told.stderr and "Exception ignored" not in told.stderr
            assert told.stderr.count("transferlab: ") == (code == 2)
