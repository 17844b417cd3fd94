"""CPU-minutes until a difference of one or two points is decided: an earlier release, this one, and a plain script with a paired t-test.

    git worktree add ../earlier 926df6e
    .venv/bin/python benchmarks/decision.py --earlier ../earlier --source SPEC --target SPEC --target SPEC --lab FOLDER
        [--counts 60 250 500] [--backbone small:16] [--examples 60000] [--seeds 12]

``transferlab run`` makes one study of many seeds: numbers of images per class, the twin of the largest, and random features, all by SGD
with the plain script's settings, so that all three sides train the same network. Then these differences are to be decided:

planted   the twin, whose truth is that of the reference, with one or two points of each target's wrong test images turned right
genuine   of all pairs of conditions, the one whose difference over all seeds is nearest to one point, if it is within half a point

For each number of seeds, that many of each condition's networks are drawn at random 200 times, independently, since networks of a seed
have nothing in common (LOG.md, 2026-11-30). So few networks stand for all that could have been trained: each condition's mean is moved by
as much as another set of as many seeds would move it (a bootstrap of the seeds), so that draws of n networks scatter as n new ones would.
The rules of each side see scores and right-or-wrong rows (peers/rules.py), and the smallest number of seeds with which at least 80 % of
the draws tell the difference with its sign is what the side needs. The plain script compares means over targets by a paired t-test at
5 %, and adjusts for nothing. CPU time, user and system, of all processes, is measured for one seed and for one more; it grows with the
seeds, and packing counts once. How often each side calls the untouched twin different (it should not) stands beside. The lab is kept;
what is done in it is not done again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from measured import keep
from peers.standard_loop import SGD
from PIL import Image
from scipy.stats import ttest_rel

import transferlab
from transferlab.images.pack import open_pack
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, restored
from transferlab.report.results import results_of
from transferlab.runners.machine import here
from transferlab.specs import TEST, TRAIN, VAL

DRAWS, LIKELY, TRIED = 200, 0.8, (3, 4, 5, 6, 7, 8, 10, 12)
PLANTED, NEAR = (1, 2), 0.005  # points that are planted; how near to a point a genuine difference must be
HERE, THIS = Path(__file__).parent, Path(transferlab.__file__).parents[1]
STUDY = """\
from transferlab import Examples, Recipe, Study, designs, probe, steps

study = Study(
    source={source!r}, targets={targets!r},
    conditions={{n: designs.images_per_class(n, short="keep") for n in {counts!r}}},
    controls=["a/a", "random-features"], contrasts=steps(margin=0.01), protocols=[probe()],
    recipe=Recipe({stem}length=Examples({examples}), backbone={backbone!r}, optimiser="sgd", lr={lr}, batch={batch}, warmup={warmup}),
    name="decision", unit="images per class",
)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--earlier", type=Path, required=True, help="a checkout of the earlier release")
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", action="append", required=True)
    parser.add_argument("--lab", type=Path, required=True, help="folder for images and networks")
    parser.add_argument("--counts", type=int, nargs="+", default=[60, 250, 500])
    parser.add_argument("--backbone", default="small:16")
    parser.add_argument("--examples", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=12)
    wanted = parser.parse_args()
    lab: Path = wanted.lab
    lab.mkdir(exist_ok=True)
    source, targets = _folder(lab, wanted.source), [_folder(lab, spec, tested=True) for spec in wanted.target]
    job = {"source": str(source), "targets": [str(t) for t in targets], "counts": wanted.counts,
           "backbone": wanted.backbone, "examples": wanted.examples}  # fmt: skip
    _run(lab / "study", job, THIS, wanted.seeds)
    store = Store.open(lab / "study", create=False)
    plan = restored(max((store.dated_study(identity) for identity in store.identities()), key=lambda s: s[0])[1])
    assert isinstance(plan, Plan)
    sides = {"earlier": wanted.earlier.resolve() / "src", "this": THIS}
    told = {what: _decided(problem, sides, wanted.seeds, lab) for what, problem in _problems(store, plan).items()}
    cost = _costs(lab, job, sides)
    raw = {"machine": here("cpu").name, "cores": here("cpu").n_units, "precision": here("cpu").precision, **job,
           "source": wanted.source, "targets": wanted.target, "seeds": wanted.seeds, "draws": DRAWS, "cost": cost,
           "told": told, "decided": {what: _price(told[what]["told"], cost) for what in told if what != "untouched"}}  # fmt: skip
    _tell(raw)
    print(keep("decision", raw))


def _folder(lab: Path, spec: str, *, tested: bool = False) -> Path:
    """The images of a SPEC as PNG files in train, val and test, one folder a class.

    Args:
        tested: whether it needs test images; where val or test is missing and needed, a sixth of train makes it.
    """
    folder = lab / "images" / "".join(c if c.isalnum() else "-" for c in spec).strip("-")
    if folder.exists():
        return folder
    packed = lab / "images.pack"
    subprocess.run(
        [sys.executable, "-m", "transferlab", "pack", spec, str(packed), "--size", "32"], check=True, env=_with(THIS)
    )
    pack, half_done = open_pack(packed), folder.with_suffix(".half")
    split = np.array(pack.split)
    for i, part in enumerate((VAL, TEST) if tested else (VAL,)):
        if not (split == part).any():
            split[np.flatnonzero(split == TRAIN)[i::6]] = part
    for row, (part, label) in enumerate(zip(split, np.asarray(pack.labels), strict=True)):
        parent = half_done / {TRAIN: "train", VAL: "val", TEST: "test"}[int(part)] / f"class{int(label):04}"
        parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pack.images[row])).save(parent / f"{row}.png", compress_level=1)
    shutil.rmtree(packed)
    return half_done.rename(folder)


def _with(src: Path, n_threads: int = 0) -> dict[str, str]:
    threads = {name: str(n_threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if n_threads}
    return {**os.environ, **threads, "PYTHONPATH": str(src)}


def _run(store: Path, job: dict[str, Any], src: Path, n_seeds: int) -> float:
    """Run the study by a release's command; CPU seconds of all its processes."""
    file = store.with_suffix(".py")
    specs = {"source": f"imagefolder:{job['source']}", "targets": [f"imagefolder:{t}" for t in job["targets"]]}
    stem = 'stem="random", ' if src == THIS else ""  # the earlier release has no other
    file.write_text(STUDY.format(**{**job, **specs}, stem=stem, lr=SGD.lr, batch=SGD.batch, warmup=SGD.warmup))
    command = ["run", str(file), "--device", "cpu", "--store", str(store), "--seeds", str(n_seeds)]
    return _cpu_seconds([sys.executable, "-m", "transferlab", *command], _with(src))


def _cpu_seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _costs(lab: Path, job: dict[str, Any], sides: dict[str, Path]) -> dict[str, dict[str, float]]:
    """CPU seconds of each side, measured once and kept in the lab."""
    file = lab / "cost.json"
    if not file.exists():
        found = {side: _cost(lab / f"cost-{side}", job, src) for side, src in sides.items()}
        file.write_text(json.dumps({**found, "plain": _cost_of_plain(lab, job)}))
    return json.loads(file.read_text())


def _cost(store: Path, job: dict[str, Any], src: Path) -> dict[str, float]:
    """CPU seconds of a seed, and of what is done once: a study of one seed, then one seed more."""
    one, one_more = (_run(store, job, src, n) for n in (1, 2))
    return {"seed": one_more, "once": max(0.0, one - one_more)}


def _cost_of_plain(lab: Path, job: dict[str, Any]) -> dict[str, float]:
    """The plain script's networks of a seed, from one that is trained and one that is not: all trainings are of one length, and it has no twin.

    It runs with as many threads as there are cores, and no DataLoader workers.
    """
    file = lab / "plain.json"
    file.write_text(json.dumps({**job, "counts": job["counts"][-1:], "seeds": [0], "workers": 0}))
    command = [sys.executable, str(HERE / "peers/plain_study.py"), str(file)]
    out = subprocess.run(command, env=_with(THIS, here("cpu").n_units), stdout=subprocess.PIPE, text=True, check=True)
    untrained, trained = (network["cpu_seconds"] for network in json.loads(out.stdout))
    return {"seed": untrained + len(job["counts"]) * trained, "once": 0.0}


def _problems(store: Store, plan: Plan) -> dict[str, dict[str, Any]]:
    """What the rules see of the planted difference, of the genuine one, and of the untouched twin."""
    records = {t.key: store.record(t.key) for t in plan.transfers}
    targets: list[dict[str, Any]] = []
    for facts in plan.targets:
        found = results_of(store, plan, facts, records)
        targets.append({"name": facts.name, "n_test": facts.n_test, "weights": found.weights,
                        "scores": dict(found.scores), "rows": dict(found.rows)})  # fmt: skip
    names, reference, twin = [c.name for c in plan.conditions if not c.is_control], plan.reference, "a/a"
    others = [[name, reference] for name in names if name != reference]
    mean = {name: _means(targets, name) for name in names}
    pair = min(itertools.permutations(names, 2), key=lambda p: abs(float((mean[p[0]] - mean[p[1]]).mean()) - 0.01))
    shared = {"reference": reference, "margin": 0.01}
    declared = [list(pair), *(p for p in others if set(p) != set(pair))]
    genuine = {**shared, "conditions": names, "twin": twin, "targets": targets, "pairs": declared}
    made = {**shared, "conditions": [*names, twin], "twin": "", "pairs": [[twin, reference], *others]}
    planted = {f"planted, {n}": {**made, "targets": [_planted(each, twin, n) for each in targets]} for n in PLANTED}
    known = abs(float((mean[pair[0]] - mean[pair[1]]).mean()) - 0.01) < NEAR
    return {**planted, **({"genuine": genuine} if known else {}), "untouched": {**made, "targets": targets}}


def _means(targets: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    """The plain mean over targets of each seed, float [K]."""
    return np.mean([[each["scores"][name][seed] for seed in sorted(each["scores"][name])] for each in targets], axis=0)


def _planted(target: dict[str, Any], name: str, points: int) -> dict[str, Any]:
    """The target with so many points of its wrong test images turned right for one condition, others for each seed."""
    random = np.random.default_rng(0)
    scores, rows = dict(target["scores"]), dict(target["rows"])
    rows[name] = {seed: np.array(of) for seed, of in rows[name].items()}
    for of in rows[name].values():
        weights = np.full(len(of), 1 / len(of)) if target["weights"] is None else target["weights"]
        wrong = random.permutation(np.flatnonzero(~of))
        of[wrong[: np.searchsorted(weights[wrong].cumsum(), points / 100)]] = True
    scores[name] = {seed: float(np.average(of, weights=target["weights"])) for seed, of in rows[name].items()}
    return {**target, "scores": scores, "rows": rows}


def _decided(problem: dict[str, Any], sides: dict[str, Path], n_seeds: int, lab: Path) -> dict[str, Any]:
    """For each side and number of seeds, the share of draws that tell the first pair apart with its sign, and against it."""
    random = np.random.default_rng(1)
    tried = [n for n in TRIED if n <= n_seeds]
    draws = [_draw(problem, n, n_seeds, random) for n in tried for _ in range(DRAWS)]
    a, b = problem["pairs"][0]
    verdicts = {"plain": [_by_t_test(problem, draw) for draw in draws]}
    widths: dict[str, list[float]] = {}
    for side, src in sides.items():
        file = lab / "rules.pickle"
        file.write_bytes(pickle.dumps({**problem, "draws": draws}))
        command = [sys.executable, str(HERE / "peers/rules.py"), str(file)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=_with(src)).stdout)
        verdicts[side], widths[side] = [f["verdict"] for f in found], [f["half_width"] for f in found]
    truth = float(np.mean(_means(problem["targets"], a) - _means(problem["targets"], b)))
    told: dict[str, Any] = {}
    for side, of in verdicts.items():
        each = np.array(of).reshape(len(tried), DRAWS)
        told[side] = {"right": dict(zip(tried, (each == 1).mean(1).tolist(), strict=True)),
                      "wrong": dict(zip(tried, (each == -1).mean(1).tolist(), strict=True))}  # fmt: skip
        if side in widths:
            half = np.median(np.array(widths[side]).reshape(len(tried), DRAWS), axis=1)
            told[side]["half_width"] = dict(zip(tried, half.tolist(), strict=True))
    return {"pair": f"{a} against {b}", "points": 100 * truth, "told": told}


def _draw(problem: dict[str, Any], n: int, n_seeds: int, random: np.random.Generator) -> dict[str, Any]:
    """For each condition n of its seeds, and what its mean on each target is moved by."""
    seeds: dict[str, list[int]] = {}
    added: dict[str, list[float]] = {}
    for name in {*problem["conditions"], problem["twin"]} - {""}:
        seeds[name] = random.choice(n_seeds, n, replace=False).tolist()
        again = random.integers(0, n_seeds, n_seeds)
        each = [np.array([target["scores"][name][seed] for seed in range(n_seeds)]) for target in problem["targets"]]
        added[name] = [float(of[again].mean() - of.mean()) for of in each]
    return {"seeds": seeds, "added": added}


def _by_t_test(problem: dict[str, Any], draw: dict[str, Any]) -> int:
    a, b = (
        _means(problem["targets"], name)[draw["seeds"][name]] + float(np.mean(draw["added"][name]))
        for name in problem["pairs"][0]
    )
    test = cast("Any", ttest_rel)(a, b)
    return int(np.sign(test.statistic)) if test.pvalue < 0.05 else 0


def _price(told: dict[str, Any], cost: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """For each side the seeds that it needs, None if more than were tried, and their CPU minutes."""
    found: dict[str, dict[str, float | None]] = {}
    for side, of in told.items():
        n = next((n for n, share in of["right"].items() if share >= LIKELY), None)
        known = n is not None and side in cost
        minutes = (cost[side]["once"] + n * cost[side]["seed"]) / 60 if known else None
        found[side] = {"seeds": n, "cpu_minutes": minutes}
    return found


def _tell(raw: dict[str, Any]) -> None:
    for what, of in raw["decided"].items():
        print(f"{what}: {raw['told'][what]['pair']}, {raw['told'][what]['points']:+.2f} points over all seeds")
        for side, need in of.items():
            minutes = "" if need["cpu_minutes"] is None else f", {need['cpu_minutes']:.1f} CPU-minutes"
            print(f"  {side:<8} {need['seeds'] or f'more than {TRIED[-1]}'} seeds{minutes}")
    for side, of in raw["told"]["untouched"]["told"].items():
        wrong = {n: f"{100 * (right + of['wrong'][n]):.1f}" for n, right in of["right"].items()}
        print(f"the untouched twin is called different by {side} in % of draws, by number of seeds: {wrong}")


if __name__ == "__main__":
    main()
