"""Constructors of protocols for studies; importing them loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from transferlab.errors import UserError
from transferlab.specs import Protocol


def probe(shots: int | None = None) -> Protocol:
    """Multinomial logistic regression on frozen features; the penalty is chosen on validation.

    Args:
        shots: training and validation examples per class together; None is the whole target.
    """
    return Protocol("probe", shots)


def knn(k: int | None = None, shots: int | None = None) -> Protocol:
    """Cosine nearest neighbours on frozen features; k is chosen on validation unless given."""
    return Protocol("knn", shots, {} if k is None else {"k": k})


def finetune(shots: int | None = None, examples: int = 60_000, lr: float = 0.02) -> Protocol:
    """All layers with a new head, at a fixed number of examples seen; validation chooses among lr and lr / 4."""
    return Protocol("finetune", shots, {"examples": examples, "lr": lr})


def refit(shots: int | None = None) -> Protocol:
    """A new last layer on frozen features, for all the source's own classes; only for the target ``source``.

    Where the features of all its images can be held it is ``probe``; where not, it is fitted in passes over them.
    """
    return Protocol("refit", shots)


def induction(*, cut: int | None = None, merge: int | None = None, shots: int | None = None) -> Protocol:
    """The source's classes by nearest neighbours, freely and within coarse labels, and the coarse labels themselves.

    Measured of every network of a study, whatever labels it was trained on; only for the target ``source``.

    Args:
        cut: coarse labels are the taxonomy's, cut at this depth. merge: or merged in this many passes.

    Raises:
        UserError: neither is given, or both.
    """
    knobs = {rule: n for rule, n in (("cut", cut), ("merge", merge)) if n is not None}
    if len(knobs) != 1:
        raise UserError("induction needs one rule that makes coarse labels", f"induction(cut={cut}, merge={merge})",
                        "write induction(cut=DEPTH) or induction(merge=PASSES)")  # fmt: skip
    return Protocol("induction", shots, knobs)


# What ``detect`` does where a study says nothing else. On the toy's detection task after 800 images seen, mAP of one network
# (60 test images): all layers and norms trained 25.1, the stem fixed 24.4, stem and first stage fixed 22.0; the backbone's
# norms kept, all layers trained 20.9, stem and first stage fixed 18.3. In batches of 4 in place of 8 27.7 (all trained).
DETECT: Mapping[str, int | float | str] = {
    "examples": 4_000, "lr": 1e-3, "batch": 4, "frozen": 0, "norms": "trained", "proposals": 100
}  # fmt: skip


def detect(
    examples: int = 4_000, lr: float = 1e-3, *, batch: int = 4, frozen: int | Literal["all"] = 0,
    norms: Literal["frozen", "trained"] = "trained", proposals: int = 100,
) -> Protocol:  # fmt: skip
    """A Faster R-CNN around the backbone, for targets with boxes, at a fixed number of examples seen.

    Args:
        examples: images seen in training, 1 or more. lr: AdamW's peak rate, above 0; one rate, nothing is chosen.
        batch: images a step.
        frozen: parts of the backbone that stay as they are, from the first on (the stem is one, each stage one): 0 or
            more, or "all". The control "scratch" trains every part, whatever is said here.
        norms: "frozen": the backbone's batch norms keep their averages; "trained": each batch's own count. "scratch"
            trains them.
        proposals: regions an image that are looked at, 1 to 2,000.

    Raises:
        UserError: a knob out of range.
    """
    knobs = {"examples": examples, "lr": lr, "batch": batch, "frozen": frozen, "norms": norms, "proposals": proposals}
    return Protocol("detect", None, detect_knobs(Protocol("detect", None, knobs)))


def detect_knobs(protocol: Protocol) -> dict[str, int | float | str]:
    """The knobs of a ``detect`` over their defaults, checked.

    Raises:
        UserError: an unknown knob, one out of range, or shots, which count examples of a class.
    """
    if protocol.shots is not None:
        raise UserError("an image for detection has objects of several classes, so shots cannot be counted", "detect",
                        "leave shots out; examples= is the length of training")  # fmt: skip
    if unknown := set(protocol.knobs) - set(DETECT):
        raise UserError(f"detect has no knob {min(unknown)!r}", "detect", f"it has {', '.join(DETECT)}")
    knobs = {**DETECT, **protocol.knobs}
    most = {"examples": 10**9, "lr": 10.0, "batch": 1024, "frozen": 1000, "proposals": 2000}
    for name, high in most.items():
        value, low = knobs[name], 0 if name == "frozen" else 1e-9 if name == "lr" else 1
        if name == "frozen" and value == "all":
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (name == "lr" and isinstance(value, float))) or not low <= float(value) <= high:
            raise UserError(f"{name} = {value!r} is impossible", "detect", f"choose from {low} to {high}")
    if knobs["norms"] not in ("frozen", "trained"):
        raise UserError(f"norms = {knobs['norms']!r} is impossible", "detect", 'write "frozen" or "trained"')
    return knobs
