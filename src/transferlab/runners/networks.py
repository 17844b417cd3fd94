"""Networks of a plan: trained together if they are missing, then each transferred to every target that is missing."""

from __future__ import annotations

import json
import platform
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place, features
from transferlab.engine.cohort import fit_cohort
from transferlab.engine.fit import Fitted, Hooks, Member, Snapshot, TrainingFailed
from transferlab.errors import UserError
from transferlab.identity import ENGINE, TRANSFER, plain, torch_seed
from transferlab.origins import ORIGINS
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.plan import networks_of_cells, source_key
from transferlab.planned import Plan, RandomNetwork, Transfer
from transferlab.runners.machine import here
from transferlab.runners.packs import find
from transferlab.specs import TEST, VAL, Pack, PretrainCell, Subset
from transferlab.transfer.measure import Surroundings, measure
from transferlab.transfer.problem import Network
from transferlab.transfer.targets import Target, view

if TYPE_CHECKING:
    from transferlab.runners.worker import Surroundings as Around

WEIGHTS = "weights.safetensors"
FAILURES = (UserError, TrainingFailed, MemoryError, RuntimeError)  # a cell's own; anything else ends the worker


class Stop(Exception):
    """The worker was asked to leave; the training at hand is saved."""


class Bench:
    """A plan with its store, and what several networks share: opened packs and targets, and which cells failed."""

    def __init__(self, plan: Plan, store: Store, around: Around) -> None:
        self.plan, self.store, self.around = plan, store, around
        self.place = Place(plan.device, plan.precision)
        self.network_of = networks_of_cells(plan)
        self.targets: dict[str, Target] = {}
        self.source = find(store, plan.source)
        self.failed: set[str] = set()  # by this process; they are not tried again
        self.failed_before = frozenset(store.failures())

    def transfers(self, network: str) -> list[Transfer]:
        """A network's, those last that failed in an earlier run: they may take the process with them."""
        of_network = [t for t in self.plan.transfers if t.cell.network == network]
        return sorted(of_network, key=lambda t: t.key in self.failed_before)

    def fail(self, at: Mapping[str, Any], failure: Exception) -> None:
        """Record that a cell failed, with its circumstances.

        Raises:
            Exception: the failure itself where every cell would meet it: a bug of ours, a disk that is full or
                read-only, a CUDA context that an error has broken.
        """
        broken = isinstance(failure, torch.AcceleratorError) or isinstance(failure.__cause__, OSError)
        if broken or not isinstance(failure, FAILURES):
            raise failure
        reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        told = "".join(traceback.format_exception(failure))
        self.store.write_failure(at["key"], {**at, "reason": reason, "traceback": told})
        self.around.tell("failed", **at, reason=reason)
        self.failed.add(at["key"])

    def complete(self, network: str) -> bool:
        return all(self.store.has(key) for key, of in self.network_of.items() if of == network)

    def target(self, digest_: str) -> Target:
        if digest_ not in self.targets:
            facts = next(t for t in self.plan.targets if t.digest == digest_)
            self.targets[digest_] = view(find(self.store, facts), own_classes=facts.own_classes)
        return self.targets[digest_]


def train(bench: Bench, networks: Sequence[str]) -> None:
    """Train those of these networks that are missing, together; each is kept when it ends, each failure is noted.

    Raises:
        Stop: the worker was asked to leave; every network's training is saved.
    """
    todo = {t.key: t for t in bench.plan.trainings if t.key in networks and not bench.store.has(t.key)}
    if not todo:
        return
    words = {key: f"pre-train {_words(t.condition, t)}" for key, t in todo.items()}
    first, *others = todo
    and_others = f" and {len(others)} more" if others else ""
    bench.around.doing({"key": first, "network": first, "networks": list(todo), "what": words[first] + and_others})
    members: dict[str, Member] = {}
    for key, training in todo.items():
        try:
            members[key] = _member(bench, key, training.cell)
        except FAILURES as failure:
            bench.fail({"key": key, "network": key, "what": words[key]}, failure)
    begun, keys, stopped = time.monotonic(), list(members), False
    for number, ended in fit_cohort(list(members.values()), bench.plan.recipe, bench.place):
        key = keys[number]
        at = {"key": key, "network": key, "what": words[key]}
        if isinstance(ended, Fitted):
            _keep_network(bench, key, todo[key].cell, ended, (begun, len(members)))
            bench.around.tell("done", **at)
        elif isinstance(ended, Stop):
            stopped = True  # once each member has saved itself
        else:
            bench.fail(at, ended)
    if stopped:
        raise Stop


def transfer(bench: Bench, network: str) -> None:
    """Do the missing transfers of a network, if it is there.

    Raises:
        TrainingFailed, MemoryError, RuntimeError: with ``bench.around.at`` naming the cell.
        Stop: the worker was asked to leave.
    """
    training = next((t for t in bench.plan.trainings if t.key == network), None)
    if training is not None and not bench.store.has(network):
        return
    transfers = bench.transfers(network)
    words = _words(training.condition if training else transfers[0].condition, training or transfers[0])
    left = {t.key: t for t in transfers if t.key not in bench.failed and not bench.store.has(t.key)}
    source = source_key(network)
    needs_source = training is not None and source not in bench.failed and not bench.store.has(source)
    if not left and not needs_source:
        return
    first = source if needs_source else next(iter(left))
    bench.around.doing({"key": first, "network": network, "what": f"open {words}"})
    trained = _network(bench, network, transfers[0].untrained if transfers else None)
    if training is not None and needs_source:
        bench.around.doing({"key": source, "network": network, "what": f"source accuracy of {words}"})
        _source_accuracy(bench, network, trained, bench.store.read_subset(training.cell.subset))
        bench.around.tell("done", **bench.around.at)
    names = {reference.digest: reference.name for reference in bench.plan.targets}
    cache: dict[str, dict[tuple[str, bytes], Tensor]] = {}
    for transfer in left.values():
        if bench.around.stopping:
            raise Stop
        what = f"{transfer.label} on {names[transfer.cell.target]} of {words}"
        bench.around.doing({"key": transfer.key, "network": network, "what": what})
        _transfer(bench, trained, transfer, cache.setdefault(transfer.cell.target, {}))
        bench.around.tell("done", **bench.around.at)


def _transfer(bench: Bench, trained: Network, transfer: Transfer, shared: dict[tuple[str, bytes], Tensor]) -> None:
    begun = time.monotonic()
    target = bench.target(transfer.cell.target)
    around = Surroundings(bench.place, shared, _hooks(bench, transfer.key))
    cell = transfer.cell
    measured = measure(trained, target, cell.protocol, transfer.seed, around, cell.metric)
    record: dict[str, Any] = {
        "metrics": dict(measured.metrics),
        "chosen": dict(measured.chosen),
        "kind": "transfer",
    }
    if transfer.untrained is not None:
        record["network"] = plain(("untrained", ENGINE, transfer.untrained), identity_only=True)
    files = {"rows.npz": npz_bytes(dict(measured.rows))}
    _keep(bench, transfer.key, ("transfer", TRANSFER, ENGINE, transfer.cell), record, files, begun)


def _member(bench: Bench, key: str, cell: PretrainCell) -> Member:
    subset = bench.store.read_subset(cell.subset)
    return Member(_examples(bench.source, subset), cell.seed, _held_out(bench.source, subset), _hooks(bench, key))


def _hooks(bench: Bench, key: str) -> Hooks:
    """Progress and checkpoints of what a cell trains."""
    return Hooks(
        progress=lambda progress: bench.around.progress(key, progress), due=lambda step: bench.around.due(key),
        save=lambda snapshot: _save(bench, key, snapshot), resume=_saved(bench, key),
    )  # fmt: skip


def _keep_network(bench: Bench, key: str, cell: PretrainCell, fitted: Fitted, cohort: tuple[float, int]) -> None:
    """Weights and record of a network; ``cohort``: when its cohort began, and how many were trained in it."""
    tensors = {f"backbone.{k}": v for k, v in fitted.backbone.state_dict().items()}
    tensors |= {f"head.{k}": v for k, v in fitted.head.state_dict().items()}
    weights = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    record: dict[str, Any] = {
        "kind": "pretrain",
        "metrics": {},
        "n_seen": fitted.n_seen,
        "history": [dict(h) for h in fitted.history],
        "cohort": cohort[1],
    }
    _keep(bench, key, ("pretrain", ENGINE, cell), record, {WEIGHTS: weights}, cohort[0])


def _save(bench: Bench, key: str, snapshot: Snapshot) -> None:
    """Checkpoint between steps."""
    facts = {"step": str(snapshot.step), "history": json.dumps([dict(h) for h in snapshot.history])}
    tensors = {k: v.contiguous() for k, v in snapshot.tensors.items()}
    bench.store.write_checkpoint(key, save(tensors, metadata=facts))
    if bench.around.stopping:
        raise Stop


def _saved(bench: Bench, key: str) -> Snapshot | None:
    data = bench.store.checkpoint(key)
    if data is None:
        return None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    bench.around.tell("resumed", step=int(header["step"]))
    return Snapshot(int(header["step"]), load(data), tuple(json.loads(header["history"])))


def _network(bench: Bench, key: str, untrained: RandomNetwork | None) -> Network:
    recipe, source = bench.plan.recipe, bench.source
    seed = torch_seed("initialisation", untrained.seed if untrained else 0)
    backbone = build(recipe.backbone, recipe.image_px, seed)
    if untrained is None:
        held = load(bench.store.read(key, WEIGHTS))
        backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in held.items() if k.startswith("backbone.")})
    elif prepare := untrained.origin and ORIGINS[untrained.origin].prepare:
        prepare(backbone, seed)
    return Network(backbone.to(bench.place.device).eval(), recipe, source.mean, source.std)


def _source_accuracy(bench: Bench, key: str, network: Network, subset: Subset) -> None:
    """Top-1 on the source's held-out images of the subset's own classes, under the subset's labels."""
    begun = time.monotonic()
    examples = _held_out(bench.source, subset)
    record: dict[str, Any] = {"kind": "source", "metrics": {}}
    if examples is not None:
        head = _head(bench, key, network.backbone)
        found = features(network.backbone, examples, bench.place, network.recipe.image_px)
        with torch.inference_mode():
            right = head(found).argmax(1).numpy() == examples.labels
        record["metrics"] = {"top1": float(right.mean())}
    _keep(bench, source_key(key), ("source accuracy", TRANSFER, key), record, {}, begun)


def _head(bench: Bench, key: str, backbone: Backbone) -> nn.Linear:
    held = load(bench.store.read(key, WEIGHTS))
    head = nn.Linear(backbone.n_features, held["head.weight"].shape[0])
    head.load_state_dict({k.removeprefix("head."): v for k, v in held.items() if k.startswith("head.")})
    return head


def _examples(pack: Pack, subset: Subset) -> Examples:
    return Examples(pack.squares, subset.rows, subset.labels, len(subset.label_names), pack.mean, pack.std)


def _held_out(pack: Pack, subset: Subset) -> Examples | None:
    """Validation rows (else test rows) of the classes in a subset, under its labels; None where there are none."""
    label_of = {leaf: label for label, leaves in enumerate(subset.members) for leaf in leaves}
    of_class = torch.tensor([label_of.get(leaf, -1) for leaf in pack.taxonomy.leaves]).numpy()
    rows = pack.rows(VAL) if len(pack.rows(VAL)) else pack.rows(TEST)
    labels = of_class[pack.labels[rows]]
    if not (labels >= 0).any():
        return None
    return Examples(pack.squares, rows[labels >= 0], labels[labels >= 0].astype("int32"), len(subset.label_names),
                    pack.mean, pack.std)  # fmt: skip


def _keep(
    bench: Bench,
    key: str,
    inputs: Sequence[object],
    record: Mapping[str, Any],
    files: Mapping[str, bytes],
    begun: float,
) -> None:
    made_by = {**_versions(), "device": bench.plan.device, "precision": bench.plan.precision,
               "threads": torch.get_num_threads()}  # fmt: skip
    whole = {**record, "seconds": time.monotonic() - begun, "made_by": made_by}
    bench.store.write_cell(key, inputs, whole, files)


@cache
def _versions() -> dict[str, str]:
    names = ("transferlab", "torch", "torchvision", "timm", "numpy")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else here("cpu").name
    return {**{name: version(name) for name in names}, "python": platform.python_version(), "machine": device}


def _words(condition: str, at: Any) -> str:
    return f"{condition} · seed {at.seed}"
