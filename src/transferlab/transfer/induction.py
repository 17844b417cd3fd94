"""Induction in both directions (Huh et al. 2016): fine classes from features trained on coarse labels, and the reverse.

A class's score is the cosine of its nearest image. One matrix of scores gives the class (top-1, top-5), the class given the
coarse label, and the coarse label. The paper does not say its layer or number of neighbours; one neighbour and the
transferred features are our choice.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.transfer.problem import Prediction, Problem, Split
from transferlab.transfer.superclasses import coarse_labels

BLOCK, QUERIES = 2048, 1024  # gallery images and test images at a time: products of 8 MB


def fit_predict(problem: Problem) -> Prediction:
    """Cosines of each test image with the nearest training or validation image of each class, in bounded memory.

    Nothing is chosen on validation, so validation images are neighbours too. A class without images scores -1.

    Raises:
        UserError: the target's taxonomy does not have the coarse labels.
    """
    coarse = coarse_labels(problem.settings, problem.data.taxonomy)
    scores = torch.full((len(problem.rows("test")), problem.n_classes), -1.0, device=problem.place.device)
    queries = _queries(problem)
    _raise_to_nearest(scores, queries, problem, "train", problem.train_labels.numpy())
    _raise_to_nearest(scores, queries, problem, "val", problem.val_labels.numpy())
    return Prediction(scores.cpu(), probabilities=False, notes={"label of class": coarse})


def _queries(problem: Problem) -> Tensor:
    positions, parts = np.arange(len(problem.rows("test"))), list[Tensor]()
    for start in range(0, len(positions), BLOCK):
        block = positions[start : start + BLOCK]
        parts.append(F.normalize(problem.features_at("test", block)))
        problem.tell(start + len(block), len(positions))
    return torch.cat(parts)


def _raise_to_nearest(scores: Tensor, queries: Tensor, problem: Problem, split: Split, labels: np.ndarray) -> None:
    """Raise scores [e, c] to the cosines of the nearest images of a split, block by block.

    Images are sorted by class, so that a block has few classes, each in one range of columns.
    """
    order = np.argsort(labels, kind="stable")
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        images = F.normalize(problem.features_at(split, block))
        classes, begins = np.unique(labels[block], return_index=True)
        ends = [*begins[1:], len(block)]
        for first in range(0, len(queries), QUERIES):
            found = queries[first : first + QUERIES] @ images.T
            best = torch.stack([found[:, a:z].amax(1) for a, z in zip(begins, ends, strict=True)], 1)
            held = scores[first : first + QUERIES]
            held[:, classes] = torch.maximum(held[:, classes], best)
        problem.tell(start + len(block), len(order))
