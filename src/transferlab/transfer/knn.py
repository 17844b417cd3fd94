"""Cosine nearest neighbours on frozen features, in bounded memory; k chosen on validation.

On the source's own classes this is the paper's induction: features trained on merged labels, classes told apart by
their neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.errors import UserError
from transferlab.transfer.problem import Prediction, Problem

KS = (1, 5, 20)
BLOCK = 1024  # queries at a time: against 100,000 neighbours 400 MB
TEMPERATURE = 0.07
RANKED = 100


def fit_predict(problem: Problem) -> Prediction:
    """Votes of the k nearest train and validation examples, weighted by exp(cosine / 0.07); k by validation accuracy.

    Raises:
        UserError: a multi-label target.
    """
    if problem.multi_label:
        raise UserError("nearest neighbours take one label an image", problem.target.pack.name, "use the probe")
    train, val, test = (F.normalize(problem.features(split)) for split in ("train", "val", "test"))
    labels = problem.train_labels
    wanted = problem.protocol.knobs.get("k")
    if wanted is not None:
        k = int(wanted)
        if not 1 <= k <= len(train):
            raise UserError(f"k = {k} is impossible", problem.target.pack.name, f"choose from 1 to {len(train)}")
    elif not len(val):
        k = 1
    else:
        votes = {k: neighbours(train, labels, val, k, problem.n_classes) for k in KS if k <= len(train)}
        right = {k: float((v.argmax(1) == problem.val_labels).float().mean()) for k, v in votes.items()}
        k = max(right, key=lambda k: (right[k], k))
    gallery, of = torch.cat([train, val]), torch.cat([labels, problem.val_labels])
    return Prediction(neighbours(gallery, of, test, k, problem.n_classes), {"k": k}, probabilities=False)


def neighbours(gallery: Tensor, labels: Tensor, queries: Tensor, k: int, n_classes: int) -> Tensor:
    """Class votes float32 [q, c] of each query's k nearest in the gallery; both are of unit length, [n, d] and [q, d].

    The next nearest, up to RANKED in all, order the classes that have no vote of the k: else top-5 at k = 1 would be
    one neighbour and four classes by their index.
    """
    votes = torch.zeros(len(queries), n_classes)
    for start in range(0, len(queries), BLOCK):
        near = (queries[start : start + BLOCK] @ gallery.T).topk(min(max(k, RANKED), len(gallery)))
        weights = ((near.values - 1) / TEMPERATURE).exp()
        weights[:, k:] *= 1e-6
        votes[start : start + BLOCK].scatter_add_(1, labels[near.indices], weights)
    return votes
