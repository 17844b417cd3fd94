"""The store: cells are whole or not there, any changed byte is found, copies merge, claims exclude."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.outcomes.arrays import npz_bytes, read_npz
from transferlab.outcomes.store import Store
from transferlab.outcomes.verify import quarantine, verify
from transferlab.sealed import checksum
from transferlab.specs import Subset

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk that syncs at once, for many tries
INPUTS = ("transfer", 3, {"network": "n", "seed": 1})
KEY, BARE, OTHER = digest(*INPUTS), digest("source accuracy"), digest("c")
ROWS = {"right": np.arange(40) % 3 == 0, "scores": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)}
FILES = {"weights.safetensors": bytes(range(256)), "rows.npz": npz_bytes(ROWS)}
FACTS = {"kind": "transfer", "metrics": {"top1": 0.625, "words": "ünlaut"}, "seconds": 1.5}
SUBSET = Subset("e" * 32, np.array([1, 4, 9, 16], np.int32), np.array([0, 1, 1, 0], np.int32), ("a", "b"),
                (("a",), ("b", "c")))  # fmt: skip
STUDY = {"type": "Plan", "seeds": 3, "conditions": [{"name": "60", "factor": 60.0}]}


def fill(store: Store) -> None:
    store.write_cell(KEY, INPUTS, FACTS, FILES)
    store.write_cell(BARE, ["source accuracy"], FACTS, {})
    store.write_subset(SUBSET)
    store.write_study("s1", STUDY)
    store.write_note("s1", {"command": "transferlab run x"})
    store.write_failure("ef" * 16, {"reason": "the loss is nan"})
    store.write_pack_index("p1", {"digest": "d"})


def seen(store: Store) -> list[Any]:
    """All that a reader gets of a filled store."""
    subset = store.read_subset(SUBSET.digest)
    arrays = {name: array.tolist() for name, array in store.arrays(KEY).items()}
    return [store.record(KEY), store.record(BARE), store.read(KEY, "weights.safetensors"), arrays, subset.digest,
            store.studies(), store.note("s1"), {k: f["reason"] for k, f in store.failures().items()},
            store.pack_index("p1")]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "lab", create=True)
    fill(made)
    return made


def test_what_is_written_is_read_back(store: Store) -> None:
    record = store.record(KEY)
    assert record is not None
    assert {name: record[name] for name in FACTS} == FACTS
    assert (record["key"], record["inputs"]) == (KEY, ["transfer", 3, {"network": "n", "seed": 1}])
    for name, array in store.arrays(KEY).items():
        assert array.dtype == ROWS[name].dtype
        assert (array == ROWS[name]).all()
    subset = store.read_subset(SUBSET.digest)
    assert (subset.label_names, subset.members) == (SUBSET.label_names, SUBSET.members)
    assert store.studies() == {"s1": STUDY}
    assert store.note("s1") == {"command": "transferlab run x"}
    assert (store.pack_index("p1"), store.pack_index("p2"), store.note("s2")) == ({"digest": "d"}, None, {})
    assert verify(store) == []
    assert seen(Store.open(store.path, create=False)) == seen(store)


def test_studies_come_in_the_order_in_which_they_were_last_run(store: Store) -> None:
    for name in ("s3", "s2", "s1"):
        store.write_study(name, STUDY)
    assert list(store.studies()) == ["s3", "s2", "s1"]
    store.write_study("s3", STUDY)
    assert list(store.studies()) == ["s2", "s1", "s3"]


def file_of(folder: Path, stem: str) -> Path:
    (found,) = folder.glob(f"{stem}-*")
    return found


def shorten(folder: Path) -> None:
    file_of(folder, "rows").write_bytes(FILES["rows.npz"][:-1])


def lengthen(folder: Path) -> None:
    file_of(folder, "weights").write_bytes(FILES["weights.safetensors"] + b"\0")


def remove(folder: Path) -> None:
    file_of(folder, "rows").unlink()


def swap(folder: Path) -> None:
    shutil.copy(file_of(folder.parents[1] / BARE[:2] / BARE, "record"), file_of(folder, "record"))


@pytest.mark.parametrize("harm", [shorten, lengthen, remove, swap])
def test_a_record_that_its_files_do_not_fit_is_no_cell_and_is_written_again(harm: Any, store: Store) -> None:
    whole = seen(store)
    harm(store.cell(KEY))
    assert not store.has(KEY)
    assert [p.path for p in verify(store)] == [store.cell(KEY)]
    with pytest.raises(UserError, match="verify"):
        store.read(KEY, "weights.safetensors")
    fill(store)
    assert seen(store) == whole
    assert verify(store) == []


def test_what_is_done_is_told_from_names_and_a_cell_that_lost_a_file_is_not(store: Store) -> None:
    store.write_checkpoint(OTHER, b"state")
    assert store.done() == {KEY, BARE}
    remove(store.cell(KEY))
    assert store.done() == {BARE}
    fill(store)
    file_of(store.cell(BARE), "record").unlink()
    assert store.done() == {KEY}


def test_a_record_says_what_its_key_was_made_from_and_verify_recomputes_it(store: Store) -> None:
    store.write_cell(OTHER, ["another"], FACTS, {})
    assert [(p.path, "does not follow" in p.what) for p in verify(store)] == [(store.cell(OTHER), True)]


def test_a_record_of_an_untrained_network_says_what_that_is_and_verify_recomputes_it_too(store: Store) -> None:
    network = ["untrained", 2, {"seed": 0}]
    inputs = ["transfer", 3, {"network": digest(*network), "seed": 1}]
    store.write_cell(digest(*inputs), inputs, {**FACTS, "network": network}, FILES)
    assert verify(store) == []
    wrong = ["transfer", 3, {"network": digest(*network), "seed": 2}]
    store.write_cell(digest(*wrong), wrong, {**FACTS, "network": ["untrained", 2, {"seed": 1}]}, FILES)
    assert [p.path for p in verify(store)] == [store.cell(digest(*wrong))]


@pytest.mark.parametrize("harm", [shorten, remove, swap])
def test_a_damaged_cell_is_replaced_whole_by_a_writer_whose_files_differ(harm: Any, store: Store) -> None:
    harm(store.cell(KEY))
    store.write_cell(KEY, INPUTS, FACTS, {name: b"other" + data for name, data in FILES.items()})
    assert store.read(KEY, "rows.npz") == b"other" + FILES["rows.npz"]
    assert verify(store) == []
    assert len(list(store.cell(KEY).iterdir())) == 3


def test_without_locks_every_claim_is_granted_and_no_lock_file_is_made(store: Store) -> None:
    free = Store.open(store.path, create=False, locks=False)
    with store.claim("c"), free.claim("c") as mine, free.claim("d", wait=True) as other:
        assert (mine, other) == (True, True)
    assert [p.name for p in (store.path / "claims").iterdir()] == ["c"]


def test_a_finished_cell_is_never_overwritten(store: Store) -> None:
    whole = seen(store)
    store.write_cell(KEY, ["other"], {"metrics": {}}, {"rows.npz": b"other"})
    assert seen(store) == whole


# Every kind of file that a store has, except packs (runners.packs checks them) and what means nothing when damaged.
KINDS = ["cells/*/*/weights-*", "cells/*/*/rows-*", "cells/*/*/record-2.json", "cells/*/*/record-0.json",
         "subsets/*.npz", "studies/*.json", "notes/*.json", "failures/*.json", "packs/index/*.json"]  # fmt: skip


def damaged(data: bytes, how: str, at: int, change: int) -> bytes:
    at %= len(data)
    if how == "flip":
        return data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
    return data[:at] if how == "cut" else bytes(len(data) if at % 2 else at)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(["flip", "flip", "flip", "cut", "zeros"]), st.integers(0, 10**6),
       st.integers(1, 255))  # fmt: skip
def test_any_damage_is_found_set_aside_and_made_good(kind: str, how: str, at: int, change: int) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store.open(Path(folder) / "lab", create=True)
        fill(store)
        whole = seen(store)
        (path,) = store.path.glob(kind)
        path.write_bytes(damaged(path.read_bytes(), how, at, change))
        problems = verify(store)
        if not problems:  # a zip keeps names and times twice: the subset's own digest says that it is what it was
            assert kind.startswith("subsets") and how == "flip"
            assert seen(store) == whole
            return
        (problem,) = problems
        assert problem.path == (path.parent if kind.startswith("cells") else path)
        quarantine(store, problem)
        assert verify(store) == []
        assert [p.name for p in (store.path / "quarantine").iterdir()] == [problem.path.name]
        fill(store)
        assert verify(store) == []
        assert seen(store) == whole


def test_things_of_one_name_lie_beside_each_other_in_quarantine(store: Store) -> None:
    for _ in range(3):
        shorten(store.cell(KEY))
        for problem in verify(store):
            quarantine(store, problem)
        fill(store)
    assert {p.name for p in (store.path / "quarantine").iterdir()} == {KEY, f"{KEY}-1", f"{KEY}-2"}


@pytest.mark.parametrize("read", [Store.studies, Store.failures, lambda s: s.note("s1"), lambda s: s.pack_index("p1")])
def test_a_damaged_file_is_told_to_whoever_reads_it(read: Any, store: Store) -> None:
    for kind in ("studies", "failures", "notes", "packs/index"):
        for path in (store.path / kind).glob("*.json"):
            path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="verify sets it aside"):
        read(store)


def test_a_damaged_subset_is_told_and_made_good_by_the_next_write(store: Store) -> None:
    path = store.path / "subsets" / f"{SUBSET.digest}.npz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="run the study's command again"):
        store.read_subset(SUBSET.digest)
    store.write_subset(SUBSET)
    assert store.read_subset(SUBSET.digest).digest == SUBSET.digest


def test_subsets_are_kept_together_or_not_at_all(store: Store) -> None:
    others = [Subset(SUBSET.pack, np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32) % 2, ("a", "b"),
                     SUBSET.members) for n in (2, 3, 9)]  # fmt: skip
    before = sorted(store.path.rglob("*"))
    with pytest.raises(ZeroDivisionError), store.staged_subsets() as keep:
        for subset in others:
            keep(subset)
        raise ZeroDivisionError
    assert sorted(store.path.rglob("*")) == before
    with store.staged_subsets() as keep:
        for subset in (*others, SUBSET, others[0]):
            keep(subset)
        assert len(list(store.path.glob("subsets/*.npz"))) == 1
    assert sorted(p.stem for p in store.path.glob("subsets/*")) == sorted(s.digest for s in (*others, SUBSET))
    assert [store.read_subset(s.digest).rows.tolist() for s in others] == [s.rows.tolist() for s in others]
    assert verify(store) == []


@pytest.mark.parametrize("n_labels", [2, 255, 256, 70_000])
def test_a_subset_comes_back_whatever_its_size(n_labels: int, store: Store) -> None:
    rows = np.flatnonzero(np.random.default_rng(0).random(4 * n_labels) < 0.5).astype(np.int32)
    labels = (np.arange(len(rows)) % n_labels).astype(np.int32)
    names = tuple(map(str, range(n_labels)))
    subset = Subset("e" * 32, rows, labels, names, ((),) * n_labels)
    store.write_subset(subset)
    found = store.read_subset(subset.digest)
    assert (found.rows.dtype, found.labels.dtype) == (np.int32, np.int32)
    assert (found.rows.tolist(), found.labels.tolist()) == (rows.tolist(), labels.tolist())


def test_a_file_without_its_seal_is_damaged(store: Store) -> None:
    for path in [*store.path.glob("cells/*/*/record-*.json"), *store.path.glob("[sfn]*/*.json")]:
        kept = path.read_bytes()
        facts = json.loads(kept)
        del facts["blake2b"]
        path.write_bytes(json.dumps(facts).encode())
        assert len(verify(store)) == 1
        path.write_bytes(kept)
    assert verify(store) == []


def test_two_stores_copied_together_are_a_merge(tmp_path: Path) -> None:
    left, right = (Store.open(tmp_path / name, create=True) for name in ("left", "right"))
    fill(left)
    right.write_cell(OTHER, ["c"], FACTS, FILES)
    right.write_cell(KEY, INPUTS, FACTS, FILES)
    right.write_study("s2", STUDY)
    shutil.copytree(right.path, left.path, dirs_exist_ok=True)
    merged = Store.open(left.path, create=False)
    assert all(merged.has(key) for key in (KEY, BARE, OTHER))
    assert set(merged.studies()) == {"s1", "s2"}
    assert verify(merged) == []


@pytest.mark.parametrize(
    ("mark", "words"),
    [('{"format": 3}', "newer transferlab"), ('{"format": 1}', "name another folder with --store"), ("", "damaged"), ("\0" * 13, "damaged"), ('{"format": 0}', "damaged"),
     ('{"fromat": 1}', "damaged"), ('["format"]', "damaged"), ('{"format": null}', "damaged")],
)  # fmt: skip
def test_a_mark_of_another_format_is_refused(mark: str, words: str, store: Store) -> None:
    (store.path / "lab.json").write_text(mark)
    for create in (True, False):
        with pytest.raises(UserError, match=words):
            Store.open(store.path, create=create)


def test_a_huge_mark_is_damaged_and_not_read(store: Store) -> None:
    with (store.path / "lab.json").open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(UserError, match="damaged"):
        Store.open(store.path, create=False)


def test_what_is_no_store_is_told_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no store"):
        Store.open(tmp_path / "nothing", create=False)
    (tmp_path / "photo").write_bytes(b"")
    with pytest.raises(UserError, match="not empty"):
        Store.open(tmp_path, create=True)
    for path in (tmp_path / "photo", tmp_path / "photo" / "lab"):
        with pytest.raises(UserError, match="stands where"):
            Store.open(path, create=True)
    assert [p.name for p in tmp_path.iterdir()] == ["photo"]


def test_an_empty_folder_or_one_where_a_kill_left_a_beginning_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / ".tmp-0123").write_bytes(b'{"for')
    Store.open(tmp_path, create=True)
    assert (tmp_path / "lab.json").is_file()


def test_a_failure_is_kept_until_its_cell_succeeds(store: Store) -> None:
    key = "ef" * 16
    assert store.failures()[key]["reason"] == "the loss is nan"
    store.write_failure(key, {"reason": "killed"})
    assert store.failures()[key]["reason"] == "killed"
    store.write_cell(key, ["c"], FACTS, FILES)
    assert store.failures() == {}


def test_a_checkpoint_is_the_latest_state_and_goes_with_the_record(store: Store) -> None:
    key = "34" * 16
    assert store.checkpoint(key) is None
    for state in (b"one", b"", b"two"):
        store.write_checkpoint(key, state)
        assert store.checkpoint(key) == state
    assert verify(store) == []
    (store.cell(key) / ".tmp-0123").write_bytes(b"torn")
    store.write_cell(key, ["c"], FACTS, FILES)
    assert store.checkpoint(key) is None
    assert {p.name for p in store.cell(key).iterdir()} == {f"rows-{checksum(FILES['rows.npz'])}.npz", "record-2.json",
        f"weights-{checksum(FILES['weights.safetensors'])}.safetensors"}  # fmt: skip


@given(st.sampled_from(["flip", "cut", "zeros"]), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_checkpoint_is_none(how: str, at: int, change: int) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store.open(Path(folder), create=True)
        store.write_checkpoint(KEY, bytes(range(64)))
        path = store.cell(KEY) / "checkpoint"
        path.write_bytes(damaged(path.read_bytes(), how, at, change))
        assert store.checkpoint(KEY) is None


def test_equal_arrays_give_equal_bytes_whatever_their_order_and_layout() -> None:
    turned = {name: np.asfortranarray(ROWS[name]) for name in reversed(ROWS)}
    assert npz_bytes(ROWS) == npz_bytes(turned)
    for name, array in read_npz(npz_bytes(ROWS)).items():
        assert (array == ROWS[name]).all()


def test_no_pickle_is_written_or_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pickle"):
        npz_bytes({"object": np.array([{}], object)})
    np.savez(tmp_path / "evil.npz", rows=np.array([{}], object))
    with pytest.raises(ValueError, match="pickle"):
        read_npz((tmp_path / "evil.npz").read_bytes())
    store = Store.open(tmp_path / "lab", create=True)
    (store.path / "subsets").mkdir()
    shutil.copy(tmp_path / "evil.npz", store.path / "subsets" / f"{KEY}.npz")
    with pytest.raises(UserError, match="damaged"):
        store.read_subset(KEY)


HOLD = """
import sys
from pathlib import Path
from transferlab.outcomes.store import Store
with Store.open(Path(sys.argv[1]), create=False).claim("c1", wait=sys.argv[2] == "wait") as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def holder(store: Store, wait: str = "no") -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLD, str(store.path), wait]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_claim_excludes_other_processes_and_a_kill_frees_it(store: Store) -> None:
    with holder(store) as first:
        assert heard(first) == "True"
        with store.claim("c1") as mine, store.claim("c2") as other:
            assert (mine, other) == (False, True)
        with holder(store, "wait") as second:
            first.send_signal(signal.SIGSTOP)  # a stopped holder still holds
            with store.claim("c1") as mine:
                assert not mine
            first.kill()
            first.wait()
            assert heard(second) == "True"
            second.communicate("")
    with store.claim("c1") as mine:
        assert mine
