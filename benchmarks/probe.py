"""Seconds of the linear probe beside scikit-learn's, and of nearest neighbours, on one machine, turn by turn.

    python benchmarks/probe.py [--rounds 3] [--threads 1]

The probe: 10,000 training and 2,500 validation rows of 256 and 512 features in 100 classes. Beside it StandardScaler and
LogisticRegression (lbfgs, its own tolerance, float32), over the same penalties and refitted on both parts, in two ways:
"grid" fits each of the five penalties from zero, as it is mostly written; "path" has the probe's own shortcuts, from
strong to weak with warm starts and the same early end. "One fit" is a single one of the training rows, from zero, at
the penalty that the probe chose. Then 10,000 queries against 100,000 neighbours, in a process of its own.
Raw values go to benchmarks/results/<date>-probe.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.runners.machine import here
from transferlab.specs import TEST, TRAIN, VAL, Pack, Recipe
from transferlab.taxonomy.readers import from_folders
from transferlab.transfer.knn import nearest
from transferlab.transfer.logistic import Rows, logistic, mean_loss, metric_of, scores_of
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.metrics.top1 import TOP1
from transferlab.transfer.probe import FINAL, PENALTIES, fit_predict
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import probe
from transferlab.transfer.targets import Target

N_TRAIN, N_VAL, N_TEST, N_CLASSES = 10_000, 2_500, 5_000, 100
WIDTHS = (256, 512)
MAX_ITERATIONS = 2_000  # scikit-learn's 100 end with a warning
Features = dict[str, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--knn", type=int, help=argparse.SUPPRESS)  # the process of its own
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    if wanted.knn is not None:
        print(json.dumps(_neighbours(wanted.knn)))
        return
    environment = {**os.environ, "OMP_NUM_THREADS": str(wanted.threads), "OPENBLAS_NUM_THREADS": str(wanted.threads)}
    if os.environ.get("OMP_NUM_THREADS") != str(wanted.threads):  # numpy's threads are fixed when it is loaded
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)
    machine = here("cpu")
    facts = {"machine": machine.name, "precision": machine.precision, "threads": wanted.threads}
    print(f"{machine.name}, {machine.precision}, {wanted.threads} threads, n = {wanted.rounds}")
    raw: dict[str, Any] = {**facts, "rows": [N_TRAIN, N_VAL, N_TEST], "classes": N_CLASSES, "probe": {}, "knn": {}}
    for width in WIDTHS:
        raw["probe"][str(width)] = rounds = [_round(width, number) for number in range(wanted.rounds)]
        _tell(width, rounds)
        command = [sys.executable, __file__, "--threads", str(wanted.threads), "--knn", str(width)]
        outs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                for _ in range(wanted.rounds)]  # fmt: skip
        raw["knn"][str(width)] = found = [json.loads(out) for out in outs]
        print(f"  10,000 neighbours' searches in 100,000: {_spread([f['seconds'] for f in found])} s, "
              f"{_spread([f['megabytes'] for f in found], '.0f')} MB more than the features at most")  # fmt: skip
    result = Path(__file__).parent / "results" / f"{datetime.now(UTC):%Y-%m-%d}-probe.json"
    result.write_text(json.dumps(raw, indent=1) + "\n")
    print(result)


def made_features(width: int, seed: int) -> tuple[Features, Features]:
    """Features and labels by split, like a small network's: class means in noise whose spectrum falls as rank^-1.6.

    Validation accuracy is about a half, and the features are not negative, as after a ReLU.
    """
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(width, width)))[0] * np.arange(1, width + 1)[:, None] ** -0.8
    means = random.normal(size=(N_CLASSES, width)) * (5 / width**0.5)
    features: Features = {}
    labels: Features = {}
    for split, n in (("train", N_TRAIN), ("val", N_VAL), ("test", N_TEST)):
        of = random.permutation(np.arange(n) % N_CLASSES)
        drawn = (means[of] + random.normal(size=(n, width))) @ axes
        features[split] = torch.from_numpy(np.maximum(drawn + 0.3 * drawn.std(), 0).astype(np.float32))
        labels[split] = torch.from_numpy(of.astype(np.int64))
    return features, labels


def _round(width: int, number: int) -> dict[str, Any]:
    """One draw of features: seconds, validation and test accuracy, objective and chosen penalty of both."""
    features, labels = made_features(width, number)
    test = labels["test"].numpy()
    found: dict[str, Any] = {}
    given = _problem(features, labels)
    seconds, prediction = _timed(lambda: fit_predict(given))
    penalty = prediction.chosen["penalty"]
    ours = {
        "path": seconds,
        "grid": seconds,
        "penalty": penalty,
        "test": float((prediction.scores.argmax(1).numpy() == test).mean()),
    }
    theirs: dict[str, Any] = {}
    for way in ("grid", "path"):
        theirs[way], (theirs["penalty"], theirs["test"]) = _timed(lambda way=way: _scikit_learns(way, features, labels))
    x = StandardScaler().fit(features["train"].numpy()).transform(features["train"].numpy())
    at = ours["penalty"]
    ours["fit"], weights = _timed(lambda: _fit(torch.from_numpy(x), labels["train"], at))
    theirs["fit"], model = _timed(lambda: _model(at, len(x)).fit(x, labels["train"].numpy()))
    theirs["iterations"] = int(model.n_iter_[0])
    their_weights = torch.from_numpy(np.concatenate([model.coef_.T, model.intercept_[None]]))
    scaled = StandardScaler().fit(features["train"].numpy()).transform(features["val"].numpy())
    for name, side, w in (("ours", ours, weights), ("scikit-learn", theirs, their_weights)):
        scores = scores_of(torch.from_numpy(x).double(), w.double())
        side["objective"] = float(mean_loss(scores, labels["train"]) + 0.5 * at * w[:-1].double().square().sum())
        val_scores = scores_of(torch.from_numpy(scaled).double(), w.double())
        side["val"] = float((val_scores.argmax(1) == labels["val"]).double().mean())
        found[name] = side
    return found


def _fit(features: torch.Tensor, labels: torch.Tensor, penalty: float) -> torch.Tensor:
    rough = features.bfloat16() if here("cpu").precision == "bf16" else None
    rows = Rows(features, labels, N_CLASSES, rough)
    return logistic(rows, penalty, metric_of(features, N_CLASSES), FINAL)


def _model(penalty: float, n: int) -> LogisticRegression:
    return LogisticRegression(C=1 / (penalty * n), max_iter=MAX_ITERATIONS)


def _scikit_learns(way: str, features: Features, labels: Features) -> tuple[float, float]:
    """The penalty that scikit-learn's parts choose, by accuracy, then likelihood; and the accuracy on the test."""
    scaler = StandardScaler().fit(features["train"].numpy())
    train, val, test = (scaler.transform(features[split].numpy()) for split in ("train", "val", "test"))
    y, y_val = labels["train"].numpy(), labels["val"].numpy()
    model, best = _model(max(PENALTIES), len(train)), None
    for penalty in sorted(PENALTIES, reverse=True):
        model.set_params(C=1 / (penalty * len(train)), warm_start=way == "path").fit(train, y)
        each = log_softmax(model.decision_function(val), axis=1)
        goodness = (float((each.argmax(1) == y_val).mean()), float(each[np.arange(len(y_val)), y_val].mean()))
        if best is None or goodness > best[0]:
            best = (goodness, penalty)
        elif way == "path" and goodness[0] <= best[0][0] and goodness[1] < best[0][1]:
            break
    if best is None:
        raise RuntimeError("no penalty was tried")
    model.set_params(C=1 / (best[1] * (len(train) + len(val))))
    model.fit(np.concatenate([train, val]), np.concatenate([y, y_val]))
    return best[1], float((model.predict(test) == labels["test"].numpy()).mean())


def _problem(features: Features, labels: Features) -> Problem:
    """The probe's input as a study gives it: a target whose features are known already."""
    split = np.repeat(np.array([TRAIN, VAL, TEST], np.uint8), [N_TRAIN, N_VAL, N_TEST])
    images = np.zeros((len(split), 1, 1, 3), np.uint8)
    classes = from_folders([f"class-{i:03d}" for i in range(N_CLASSES)])
    grey = np.full(3, 0.5, np.float32)
    known = torch.cat([labels[name] for name in ("train", "val", "test")]).numpy().astype(np.int32)
    ids = np.arange(len(split), dtype=np.uint64)
    pack = Pack("made", Path("made"), images, known, split, ids, classes, grey, grey, "made")
    rows = {name: pack.rows(number) for name, number in (("train", TRAIN), ("val", VAL), ("test", TEST))}
    target = Target(pack, rows["train"], rows["val"], rows["test"], TOP1, 1 / N_CLASSES)
    recipe = Recipe()
    network = Network(build(recipe.backbone, recipe.image_px, 0), recipe, grey, grey)
    cache = {(name, rows[name].tobytes()): features[name] for name in rows}
    return problem_of(network, target, probe(), 0, Workspace(Place("cpu", here("cpu").precision), cache))


def _neighbours(width: int) -> dict[str, float]:
    """Seconds, and the megabytes by which the process was at most larger than with its features alone."""
    generator = torch.Generator().manual_seed(0)
    gallery, queries = (F.normalize(torch.rand(n, width, generator=generator)) for n in (100_000, 10_000))
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    seconds, _ = _timed(lambda: nearest(gallery, queries, 100))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds["wall"], "cpu": seconds["cpu"], "megabytes": (peak - held) / 1e6}


def _timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, done


def _tell(width: int, rounds: Sequence[dict[str, Any]]) -> None:
    print(f"{N_TRAIN:,} × {width}, {N_CLASSES} classes")
    for what, words in (("grid", "probe, grid"), ("path", "probe, path"), ("fit", "one fit")):
        for name in ("ours", "scikit-learn"):
            print(f"  {words:<12} {name:<13} {_spread([r[name][what]['wall'] for r in rounds])} s")
        ratios = [r["scikit-learn"][what]["wall"] / r["ours"][what]["wall"] for r in rounds]
        print(f"  {words:<12} scikit-learn takes {_spread(ratios, '.1f')} times as long")
    for name in ("ours", "scikit-learn"):
        penalties = sorted({r[name]["penalty"] for r in rounds})
        print(f"  {name:<13} validation {_spread([100 * r[name]['val'] for r in rounds])} %, test "
              f"{_spread([100 * r[name]['test'] for r in rounds])} %, objective of one fit "
              f"{_spread([r[name]['objective'] for r in rounds], '.5f')}, penalties {penalties}")  # fmt: skip


def _spread(values: Sequence[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
