"""Networks and their measurements as cells of a store: computed, written and read back."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Place, features
from transferlab.engine.fit import Fitted, Hooks, Member, Progress, Snapshot
from transferlab.identity import ENGINE, TRANSFER, plain, torch_seed
from transferlab.origins import ORIGINS
from transferlab.outcomes.arrays import npz_bytes
from transferlab.outcomes.store import Store
from transferlab.planned import Plan, RandomNetwork, Training, Transfer
from transferlab.runners.machine import here
from transferlab.runners.packs import find
from transferlab.specs import TEST, VAL, Pack, PretrainCell, Subset
from transferlab.transfer.measure import Workspace, measure
from transferlab.transfer.problem import Network
from transferlab.transfer.targets import Target, view

WEIGHTS = "weights.safetensors"


@dataclass(eq=False)
class Bench:
    """What the tasks of one process share: the plan, its store and its opened packs.

    Args:
        checkpoint_seconds: interval at which trainings are saved.
        stopping: when set, the current training is saved and the task abandoned.
    """

    plan: Plan
    store: Store
    checkpoint_seconds: float = 60.0
    stopping: bool = False
    trainings: Mapping[str, Training] = field(init=False)
    transfers: Mapping[str, Transfer] = field(init=False)
    place: Place = field(init=False)
    source: Pack = field(init=False)
    targets: dict[str, Target] = field(init=False, default_factory=dict[str, Target])

    def __post_init__(self) -> None:
        self.trainings = {t.key: t for t in self.plan.trainings}
        self.transfers = {t.key: t for t in self.plan.transfers}
        self.place = Place(self.plan.device, self.plan.precision)
        self.source = find(self.store, self.plan.source)

    def target(self, digest: str) -> Target:
        """A target of the plan; each is opened once."""
        if digest not in self.targets:
            facts = next(t for t in self.plan.targets if t.digest == digest)
            self.targets[digest] = view(find(self.store, facts), own_classes=facts.own_classes)
        return self.targets[digest]


@dataclass(frozen=True)
class NewCell:
    """A cell to be stored: everything that its key is made from, its record and its files."""

    inputs: Sequence[object]
    record: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def keep(bench: Bench, key: str, cell: NewCell, begun: float) -> None:
    """Write a cell to the store, with the time since ``begun`` (seconds, monotonic), versions and machine."""
    plan = bench.plan
    made_by = {**_versions(), "device": plan.device, "precision": plan.precision, "threads": torch.get_num_threads()}
    whole = {**cell.record, "seconds": time.monotonic() - begun, "made_by": made_by}
    bench.store.write_cell(key, cell.inputs, whole, cell.files)


@cache
def _versions() -> dict[str, str]:
    names = ("transferlab", "torch", "torchvision", "timm", "numpy")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else here("cpu").name
    return {**{name: version(name) for name in names}, "python": platform.python_version(), "machine": device}


def member(bench: Bench, cell: PretrainCell, hooks: Hooks) -> Member:
    """A network to be trained, as a member of a cohort."""
    subset = bench.store.read_subset(cell.subset)
    examples = Examples(bench.source.squares, subset.rows, subset.labels, len(subset.label_names), bench.source.mean,
                        bench.source.std)  # fmt: skip
    return Member(examples, cell.seed, _held_out(bench.source, subset), hooks)


def trained(cell: PretrainCell, fitted: Fitted, n_together: int) -> NewCell:
    """A trained network's weights and record; ``n_together`` is the size of its cohort."""
    tensors = {f"backbone.{k}": v for k, v in fitted.backbone.state_dict().items()}
    tensors |= {f"head.{k}": v for k, v in fitted.head.state_dict().items()}
    weights = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    history = [dict(h) for h in fitted.history]
    record: dict[str, Any] = {"kind": "pretrain", "metrics": {}, "n_seen": fitted.n_seen, "history": history}
    return NewCell(("pretrain", ENGINE, cell), {**record, "cohort": n_together}, {WEIGHTS: weights})


def transferred(transfer: Transfer, network: Network, target: Target, workspace: Workspace) -> NewCell:
    """A network measured on a target: metrics, settings chosen on validation, and per-example results."""
    cell = transfer.cell
    measured = measure(network, target, cell.protocol, transfer.seed, workspace, cell.metric)
    record: dict[str, Any] = {"metrics": dict(measured.metrics), "chosen": dict(measured.chosen), "kind": "transfer"}
    if transfer.untrained is not None:
        record["network"] = plain(("untrained", ENGINE, transfer.untrained), identity_only=True)
    rows = npz_bytes(dict(measured.rows))
    return NewCell(("transfer", TRANSFER, ENGINE, cell), record, {"rows.npz": rows})


def source_accuracy(bench: Bench, key: str, network: Network, hooks: Hooks) -> NewCell:
    """Top-1 accuracy on the source's held-out images of the subset's classes, under the subset's labels."""
    examples = _held_out(bench.source, bench.store.read_subset(bench.trainings[key].cell.subset))
    record: dict[str, Any] = {"kind": "source", "metrics": {}}
    if examples is not None:
        head = _head(bench.store, key, network.backbone)
        n = len(examples.rows)
        found = features(network.backbone, examples, bench.place, network.recipe.image_px,
                         lambda done: hooks.progress(Progress(done, n, done, math.nan)))  # fmt: skip
        with torch.inference_mode():
            right = head(found).argmax(1).numpy() == examples.labels
        record["metrics"] = {"top1": float(right.mean())}
    return NewCell(("source accuracy", TRANSFER, key), record)


def opened(bench: Bench, key: str, untrained: RandomNetwork | None) -> Network:
    """A network with its stored weights, or with those that ``untrained`` draws."""
    recipe, source = untrained.recipe if untrained else bench.trainings[key].cell.recipe, bench.source
    seed = torch_seed("initialisation", untrained.seed if untrained else 0)
    backbone = build(recipe.backbone, recipe.image_px, seed)
    if untrained is None:
        backbone.load_state_dict(_weights(bench.store, key, "backbone."))
    elif prepare := untrained.origin and ORIGINS[untrained.origin].prepare:
        prepare(backbone, seed)
    return Network(backbone.to(bench.place.device).eval(), recipe, source.mean, source.std)


def _head(store: Store, key: str, backbone: Backbone) -> nn.Linear:
    weights = _weights(store, key, "head.")
    head = nn.Linear(backbone.n_features, len(weights["weight"]))
    head.load_state_dict(weights)
    return head


def _weights(store: Store, key: str, prefix: str) -> dict[str, Tensor]:
    held = load(store.read(key, WEIGHTS))
    return {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}


def _held_out(pack: Pack, subset: Subset) -> Examples | None:
    """Validation rows (else test rows) of the classes in a subset, under its labels; None if there are none."""
    label_of = {leaf: label for label, leaves in enumerate(subset.members) for leaf in leaves}
    of_class = torch.tensor([label_of.get(leaf, -1) for leaf in pack.taxonomy.leaves]).numpy()
    rows = pack.rows(VAL) if len(pack.rows(VAL)) else pack.rows(TEST)
    labels = of_class[pack.labels[rows]]
    if not (labels >= 0).any():
        return None
    return Examples(pack.squares, rows[labels >= 0], labels[labels >= 0].astype("int32"), len(subset.label_names),
                    pack.mean, pack.std)  # fmt: skip


def save_checkpoint(store: Store, key: str, snapshot: Snapshot) -> None:
    """Store the state of a training between two steps."""
    facts = {"key": key, "step": str(snapshot.step), "history": json.dumps([dict(h) for h in snapshot.history])}
    tensors = {k: v.contiguous() for k, v in snapshot.tensors.items()}
    store.write_checkpoint(key, save(tensors, metadata=facts))


def checkpoint(store: Store, key: str) -> Snapshot | None:
    """The state that ``save_checkpoint`` stored last; None if there is none, or none that can be read."""
    data = store.checkpoint(key)
    if data is None:
        return None
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if header["key"] != key:
            return None
        return Snapshot(int(header["step"]), load(data), tuple(json.loads(header["history"])))
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError):  # written by another version, say
        return None
