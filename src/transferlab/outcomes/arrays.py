"""Arrays and subsets as npz bytes; equal arrays give equal bytes, and nothing is pickled."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import digest
from transferlab.specs import Subset


def npz_bytes(arrays: Mapping[str, NDArray[Any]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Arrays as npz bytes without time stamps; ``method`` is one of zipfile's."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getbuffer(), method)
    return held.getvalue()


def read_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``npz_bytes``."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def subset_bytes(subset: Subset) -> bytes:
    """A subset as npz: one bit for each image of the pack, and labels in the narrowest unsigned integers.

    It is not compressed: deflating took most of the time of planning with a million images.
    """
    facts = {"pack": subset.pack, "label_names": subset.label_names, "members": subset.members}
    mask = np.zeros(int(subset.rows.max(initial=-1)) + 1, bool)
    mask[subset.rows] = True
    arrays = {
        "mask": np.packbits(mask), "labels": subset.labels.astype(np.min_scalar_type(len(subset.label_names))),
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }  # fmt: skip
    return npz_bytes(arrays, zipfile.ZIP_STORED)


def labels_digest(rows: NDArray[Any], labels: NDArray[Any]) -> str:
    """The digest of a target's test rows and labels, integers [e], with several labels each [e, c]."""
    return digest("test labels", rows.astype(np.int32), labels.astype(np.int32))


def read_subset(data: bytes) -> Subset:
    """The inverse of ``subset_bytes``; damaged bytes raise any error of zip, npy or JSON, or give another digest."""
    held = read_npz(data)
    facts = json.loads(held["facts"].tobytes())
    rows, labels = np.flatnonzero(np.unpackbits(held["mask"])).astype(np.int32), held["labels"].astype(np.int32)
    members = tuple(tuple(m) for m in facts["members"])
    return Subset(facts["pack"], rows, labels, tuple(facts["label_names"]), members)
