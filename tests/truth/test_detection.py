"""Simulated detection studies with a known difference of average precision: intervals over images and seeds cover it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from transferlab.answers.intervals import example_variance_of, of_seeds
from transferlab.identity import stream
from transferlab.transfer.detect.influence import values_of
from transferlab.transfer.detect.metrics import Matches, ap_of, mean_of

N_STUDIES, N_IMAGES, N_CLASSES = 600, 80, 4
SPREAD = 0.1  # of seeds


class Images(NamedTuple):
    """Objects with their image, class, hardness and what the better condition does for them; each image's clutter."""

    image: np.ndarray
    label: np.ndarray
    hardness: np.ndarray
    gain: np.ndarray
    clutter: np.ndarray


def images(random: np.random.Generator, n: int) -> Images:
    """Classes differ in how common they are, objects of an image share a part of their hardness."""
    counts = random.poisson(np.array([1.2, 0.8, 0.5, 0.3]), (n, N_CLASSES))
    image, label = np.divmod(np.repeat(np.arange(n * N_CLASSES), counts.ravel()), N_CLASSES)
    clutter = random.normal(0, 0.7, n)
    hardness, gain = random.normal(0, 1, len(image)), random.normal(0.3, 1, len(image))
    return Images(image, label, clutter[image] + hardness, gain, clutter)


def detected(random: np.random.Generator, of: Images, better: bool, seed: float) -> Matches:
    """One network's detections: hard objects are missed or found with low scores, cluttered images have false alarms."""
    n = len(of.clutter)
    ease = 1.2 + better * of.gain + seed - of.hardness + random.normal(0, 0.4, len(of.image))
    hit = ease > 0
    false = random.poisson(1.5 * np.exp(0.5 * of.clutter), n)
    image = np.concatenate([of.image[hit], np.repeat(np.arange(n), false)])
    label = np.concatenate([of.label[hit], random.integers(0, N_CLASSES, false.sum())])
    score = np.concatenate([ease[hit], random.normal(0, 1, false.sum())])
    order = np.lexsort((-score, label))
    right = (np.arange(len(score)) < hit.sum())[order]
    counts = np.zeros((n, N_CLASSES), np.int64)
    np.add.at(counts, (of.image, of.label), 1)
    first = np.searchsorted(label[order], np.arange(N_CLASSES + 1))
    return Matches(image[order].astype(np.int32), first, right[None], np.zeros((1, len(right)), bool), counts)


def score(matched: Matches) -> float:
    return mean_of(ap_of(matched, np.arange(len(matched.counts)), "voc10"))


def pair(random: np.random.Generator, world: Images) -> tuple[Matches, Matches]:
    """A seed's networks of the better condition and the other one."""
    better, other = (detected(random, world, is_better, random.normal(0, SPREAD)) for is_better in (True, False))
    return better, other


@cache
def in_all_images() -> float:
    """The difference over seeds without end and images without end, to about 0.1 points."""
    random = stream("all images")
    pairs = [pair(random, images(random, 4000)) for _ in range(60)]
    return float(np.mean([score(a) - score(b) for a, b in pairs]))


@pytest.mark.parametrize("n_seeds", [3, 5, pytest.param(10, marks=pytest.mark.slow)])
def test_intervals_over_images_like_these_cover_the_difference_in_all_images(n_seeds: int) -> None:
    truth, random = in_all_images(), stream("detection coverage", n_seeds)
    like = these = 0
    for _ in range(N_STUDIES):
        world = images(random, N_IMAGES)
        pairs = [pair(random, world) for _ in range(n_seeds)]
        per_seed = np.array([score(a) - score(b) for a, b in pairs])
        values = np.stack([values_of(a, score(a)) - values_of(b, score(b)) for a, b in pairs])
        assert np.allclose(values.mean(1), per_seed)
        narrow, wide = of_seeds(per_seed), of_seeds(per_seed, example_variance_of(values))
        assert narrow.low is not None and narrow.high is not None and wide.low is not None and wide.high is not None
        these += narrow.low <= truth <= narrow.high
        like += wide.low <= truth <= wide.high
    assert like / N_STUDIES >= 0.935
    assert these < like  # seeds alone say nothing of other images
