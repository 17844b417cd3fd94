"""Near duplicates between two packs: the same photograph with another encoding, scale or crop.

There are two stages. The coarse one compares 8 × 8 grey levels without mean and contrast, also mirrored, by matrix
products, and finds a few candidates for every image. The fine one correlates the grey gradients of each candidate at
16 × 16 in 37 alignments (either image cropped by 4 and 8 %). It uses the square root of gradients, because otherwise one
horizon or outline decides: of CIFAR-100's 20,000 images it then found 59 like one of Tiny ImageNet at 0.84, most of them
wrongly, and with roots 11, all correctly. Colour is ignored: JPEG changes it more than similar photographs differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import digest
from transferlab.specs import Pack

# At least 97 % of each kind of planted copies are above, for CIFAR-100, Omniglot and clothing10 at 32 px (JPEG 75 and 30, crops
# of 0 to 5 % and 5 to 10 %, brighter, scaled to 24 px and back). Of 26,901 images against Tiny ImageNet's 100,000, 12 are above,
# 11 of them the same photograph (LOG.md, "Near duplicates").
ALIKE = 0.84
VERSION = 1  # of the findings; those of another version are not shown
GRID, COARSE, FINE = 32, 8, 16
CROPS = (0.04, 0.08)
FAINT = 0.01  # gradients (grey in 0…1 per cell) below this count less than their root: they are mostly noise
BLOCK, CANDIDATES = 1024, 6  # candidates are the best six, mirrored or not, of the best image of every block
LEAST_BLOCKS = 64  # a block yields one candidate, so that few images are divided into smaller blocks
LEAST_LIKENESS, LEAST_CONTRAST = 0.6, 0.02  # coarse cosine of a candidate; standard deviation of grey in 0…1
PAIRS = 512  # compared at once in the fine stage

Grey = NDArray[np.float32]
Rows = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Alike:
    """Images with a near duplicate, one pair each.

    Args:
        rows: int32 [m] ascending, of the first pack. of: int32 [m], rows of the other.
        likeness: float32 [m], correlation of gradients, up to 1. exact: bool [m], equal pixels.
        n_plain: images with so little contrast that only equal pixels count.
    """

    rows: Rows
    of: Rows
    likeness: NDArray[np.float32]
    exact: NDArray[np.bool_]
    n_plain: int


def name_of_findings(source: str, target: str) -> str:
    """The name under which a store keeps the findings between two packs, given their digests."""
    return f"leakage-{digest('leakage', VERSION, source, target)}"


def alike(
    asked: tuple[Pack, Rows], among: tuple[Pack, Rows], progress: Callable[[int, int], None] | None = None
) -> Alike:
    """Find the nearest duplicate of each image, if any; memory does not grow with ``among``.

    Args:
        asked: a pack and the rows of its images. among: a pack and the rows to search; no image may be in both.
        progress: is called with the number of images of ``among`` that were searched, and that of all.
    """
    pack, rows = asked
    other, rows_of_other = among
    if not len(rows):
        return Alike(rows, rows, np.zeros(0, np.float32), np.zeros(0, bool), 0)
    # The second half of the queries are mirrored.
    coarse, plain = _coarse(_grey(pack, rows))
    mirrored = _coarse(_grey(pack, rows)[:, :, ::-1])[0]
    found = _Best(np.concatenate([coarse, mirrored]))
    step = min(BLOCK, max(16, len(rows_of_other) // LEAST_BLOCKS))
    for start in range(0, len(rows_of_other), step):
        block = rows_of_other[start : start + step]
        found.look(*_coarse(_grey(other, block)), start)
        if progress is not None:
            progress(min(start + step, len(rows_of_other)), len(rows_of_other))
    asking, of, mirror = found.candidates(plain)
    likeness = np.concatenate([
        _close(_turned(_grey(pack, rows[a]), m), _grey(other, rows_of_other[o]))
        for a, o, m in zip(_parts(asking), _parts(of), _parts(mirror), strict=True)
    ] or [np.zeros(0, np.float32)])  # fmt: skip
    best, index = np.full(len(rows), -1.0, np.float32), np.zeros(len(rows), np.int64)
    for i in np.argsort(likeness, kind="stable"):
        best[asking[i]], index[asking[i]] = likeness[i], of[i]
    exact = np.zeros(len(rows), bool)
    if pack.image_px == other.image_px:
        twin = _equal(pack, rows, other, rows_of_other)
        exact = twin >= 0
        best[exact], index[exact] = 1.0, twin[exact]
    chosen = np.flatnonzero((best >= ALIKE) | exact)
    return Alike(rows[chosen], rows_of_other[index[chosen]], best[chosen], exact[chosen], int(plain.sum()))


class _Best:
    """The best candidates so far: cosine float32 [q, k] and place int64 [q, k] of each query."""

    def __init__(self, queries: Grey) -> None:
        self.queries = queries
        self.cosine = np.full((len(queries), CANDIDATES), -1, np.float32)
        self.index = np.zeros((len(queries), CANDIDATES), np.int64)

    def look(self, block: Grey, plain: NDArray[np.bool_], start: int) -> None:
        """Keep the best of a block [b, d], if it is better than the worst kept so far."""
        block = np.where(plain[:, None], np.float32(0), block)
        for at in range(0, len(self.queries), BLOCK):
            part = slice(at, at + BLOCK)
            cosines = self.queries[part] @ block.T
            place = cosines.argmax(1)
            value = np.take_along_axis(cosines, place[:, None], 1)[:, 0]
            worst = self.cosine[part].argmin(1)
            better = np.flatnonzero(value > np.take_along_axis(self.cosine[part], worst[:, None], 1)[:, 0])
            self.cosine[part][better, worst[better]] = value[better]
            self.index[part][better, worst[better]] = place[better] + start

    def candidates(self, plain: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """The best candidates of each image that is not plain: image, place, whether mirrored."""
        n = len(plain)
        cosine = np.concatenate([self.cosine[:n], self.cosine[n:]], 1)
        index = np.concatenate([self.index[:n], self.index[n:]], 1)
        chosen = np.argsort(-cosine, axis=1)[:, :CANDIDATES]
        good = (np.take_along_axis(cosine, chosen, 1) >= LEAST_LIKENESS) & ~plain[:, None]
        asking, rank = np.nonzero(good)
        column = chosen[asking, rank]
        return asking, index[asking, column].astype(np.int64), column >= CANDIDATES


def _grey(pack: Pack, rows: Sequence[int] | NDArray[np.integer]) -> Grey:
    """Grey levels, float32 [m, 32, 32] in 0…1, each cell the mean of the pixels it covers."""
    images = np.asarray(pack.squares[rows])
    light: Grey = (images @ np.array([0.299, 0.587, 0.114], np.float32)) / np.float32(255)
    if pack.image_px == GRID:
        return light
    cells = _cells(pack.image_px, GRID, 0, pack.image_px)
    return np.asarray(cells @ light @ cells.T, np.float32)


def _coarse(grey: Grey) -> tuple[Grey, NDArray[np.bool_]]:
    """Descriptors of unit length, float32 [m, 64], and which images are plain, bool [m]."""
    n, step = len(grey), GRID // COARSE
    cells = grey.reshape(n, COARSE, step, COARSE, step).mean((2, 4)).reshape(n, COARSE**2)
    cells = cells - cells.mean(1, keepdims=True)
    return cells / np.maximum(np.linalg.norm(cells, axis=1, keepdims=True), 1e-6), grey.std((1, 2)) < LEAST_CONTRAST


def _close(first: Grey, second: Grey) -> NDArray[np.float32]:
    """Likeness of pairs [m, 32, 32]: the best correlation of rooted gradients in any alignment, float32 [m]."""
    (whole_first, size_first), (whole_second, size_second) = (_gradients(_views(grey, 0)) for grey in (first, second))
    best = np.einsum("mvd,mvd->m", whole_first, whole_second) / (size_first * size_second)[:, 0]
    for share in CROPS:
        for cropped, whole, size in ((first, whole_second, size_second), (second, whole_first, size_first)):
            views, sizes = _gradients(_views(cropped, share))
            best = np.maximum(best, (np.einsum("mvd,md->mv", views, whole[:, 0]) / (sizes * size)).max(1))
    return best


def _views(grey: Grey, share: float) -> Grey:
    """Images [m, 32, 32] as 16 × 16 cells: whole, or nine crops that leave out a share of each side; [m, 1 or 9, 16, 16]."""
    starts = (0, GRID * share / 2, GRID * share) if share else (0,)
    strips = np.concatenate([_cells(GRID, FINE, start, GRID * (1 - share)) for start in starts])
    m, n = len(grey), len(starts)
    # Two plain products: numpy multiplies stacks of small matrices without BLAS, which takes 1.6 times as long.
    across = (grey.reshape(m * GRID, GRID) @ strips.T).reshape(m, GRID, n * FINE).transpose(0, 2, 1)
    both = (np.ascontiguousarray(across).reshape(m * n * FINE, GRID) @ strips.T).reshape(m, n, FINE, n, FINE)
    return np.asarray(both.transpose(0, 1, 3, 2, 4).reshape(m, n * n, FINE, FINE), np.float32)


def _gradients(cells: Grey) -> tuple[Grey, NDArray[np.float32]]:
    """Square roots of differences between neighbouring cells, float32 [m, v, d], and their length [m, v]."""
    m, n = cells.shape[:2]
    both = np.concatenate([np.diff(cells, axis=axis).reshape(m, n, -1) for axis in (3, 2)], 2)
    both /= np.sqrt(np.abs(both) + FAINT)
    return both, np.sqrt(np.maximum(np.einsum("mvd,mvd->mv", both, both), 1e-12))


def _cells(n_px: int, n_cells: int, start: float, width: float) -> Grey:
    """Weights float32 [cells, px] that average pixels into equal cells of the strip from ``start``."""
    edges = start + width * np.arange(n_cells + 1) / n_cells
    pixels = np.arange(n_px)
    over = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    over = np.maximum(over, 0)
    return (over / over.sum(1, keepdims=True)).astype(np.float32)


def _turned(grey: Grey, mirrored: NDArray[np.bool_]) -> Grey:
    grey[mirrored] = grey[mirrored][:, :, ::-1]
    return grey


def _parts(values: NDArray[Any]) -> list[NDArray[Any]]:
    return [values[i : i + PAIRS] for i in range(0, len(values), PAIRS)]


def _equal(pack: Pack, rows: Rows, other: Pack, rows_of_other: Rows) -> NDArray[np.int64]:
    """The place of an image with equal pixels among the others, int64 [q]; -1 if there is none."""
    places: dict[bytes, int] = {}
    for place, row in enumerate(rows_of_other.tolist()):
        places.setdefault(_hash(other, row), place)
    return np.array([places.get(_hash(pack, row), -1) for row in rows.tolist()], np.int64)


def _hash(pack: Pack, row: int) -> bytes:
    return hashlib.blake2b(pack.squares[row].tobytes(), digest_size=16).digest()
