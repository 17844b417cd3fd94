"""Networks trained together: each ends as it would alone, fails alone, resumes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from transferlab import specs
from transferlab.engine.batches import Examples, Place
from transferlab.engine.cohort import fit_cohort
from transferlab.engine.fit import Fitted, Hooks, Member, Progress, Snapshot, TrainingFailed, fit
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.engine.steps import STEPS, Replayed, Singly
from transferlab.specs import Augmentation, Epochs, Recipe, UntilFlat

CPU = Place("cpu", "fp32")
RULE = Augmentation(crop_px=2, flip=True, cutout_px=4, colour=0.2)
RECIPE = Recipe(backbone="small:8", image_px=16, batch=8, length=specs.Examples(8 * 70), precision="fp32", lr=0.02,
                augmentation=RULE)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=[Singly, Replayed])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """The CPU's way of taking steps, and CUDA's without its graph."""
    monkeypatch.setitem(STEPS, "cpu", request.param)
    return request.param


def examples(n: int = 60, n_classes: int = 3, multi_label: bool = False) -> Examples:
    random = np.random.default_rng(n)
    labels = (np.arange(n) % n_classes).astype(np.int32)
    images = random.integers(0, 120, (2 * n, 16, 16, 3)).astype(np.uint8)
    rows = np.sort(random.permutation(2 * n)[:n]).astype(np.int32)
    images[rows] += (labels * 60).astype(np.uint8)[:, None, None, None]
    if multi_label:
        labels = np.eye(n_classes, dtype=np.int8)[labels]
    half = np.full(3, 0.5, np.float32)
    return Examples(images, rows, labels, n_classes, half, half / 2)


def weights(fitted: object) -> dict[str, torch.Tensor]:
    assert isinstance(fitted, Fitted), fitted
    return {**fitted.backbone.state_dict(), **fitted.head.state_dict()}


def equal(a: object, b: object) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.usefixtures("steps")
def test_members_of_other_sizes_seeds_and_class_counts_end_as_alone() -> None:
    recipe = replace(RECIPE, length=Epochs(3))
    members = [Member(examples(20), 0), Member(examples(60, 4), 1), Member(examples(60, 4), 2),
               Member(examples(31, 2, multi_label=True), 3)]  # fmt: skip
    together = dict(fit_cohort(members, recipe, CPU))
    assert sorted(together) == [0, 1, 2, 3]
    assert next(iter(together)) == 0  # the shortest ends first
    for number, member in enumerate(members):
        assert equal(together[number], fit(member.examples, recipe, member.seed, CPU))


@pytest.mark.usefixtures("steps")
def test_a_loss_that_is_not_finite_fails_its_member_and_not_the_cohort() -> None:
    bad = examples()
    bad = Examples(bad.images, bad.rows, bad.labels, bad.n_classes, bad.mean, np.zeros(3, np.float32) + 1e-45)
    with np.errstate(divide="ignore", over="ignore"):
        results = dict(fit_cohort([Member(bad, 0), Member(examples(), 0)], RECIPE, CPU))
    assert isinstance(results[0], TrainingFailed)
    assert equal(results[1], fit(examples(), RECIPE, 0, CPU))


@pytest.mark.usefixtures("steps")
def test_a_loss_is_not_missed_though_the_next_ones_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    from transferlab.engine import fit as module

    calls: list[int] = []
    loss_of = module.loss_of

    def once_infinite(*arguments: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        loss = loss_of(*arguments)
        return loss + (torch.inf if len(calls) == 67 else 0)

    monkeypatch.setattr(module, "loss_of", once_infinite)
    with pytest.raises(TrainingFailed, match="the loss is inf"):
        fit(examples(), RECIPE, 0, CPU)


class Leave(Exception):
    """Raised by a hook."""


@pytest.mark.usefixtures("steps")
def test_all_members_save_themselves_when_asked_to_leave_and_resume_to_the_same_bits() -> None:
    saved: dict[int, Snapshot] = {}

    def hooks(number: int) -> Hooks:
        def save(snapshot: Snapshot) -> None:
            saved[number] = snapshot
            raise Leave

        return Hooks(due=lambda step: step > 12 + 20 * number, save=save)

    left = dict(fit_cohort([Member(examples(), n, hooks=hooks(n)) for n in range(2)], RECIPE, CPU))
    assert all(isinstance(ended, Leave) for ended in left.values())
    assert saved[0].step < saved[1].step < 70
    again = dict(fit_cohort([Member(examples(), n, hooks=Hooks(resume=saved[n])) for n in range(2)], RECIPE, CPU))
    assert all(equal(again[n], fit(examples(), RECIPE, n, CPU)) for n in range(2))


def test_a_member_without_memory_beside_others_begins_again_when_one_has_ended() -> None:
    running: set[int] = set()

    def hooks(number: int) -> Hooks:
        def progress(at: Progress) -> None:
            running.add(number)
            if len(running) > 2:
                running.discard(number)
                raise torch.OutOfMemoryError
            if at.step == at.n_steps:
                running.discard(number)

        return Hooks(progress=progress)

    ended = dict(fit_cohort([Member(examples(), n, hooks=hooks(n)) for n in range(4)], RECIPE, CPU))
    assert all(equal(ended[n], fit(examples(), RECIPE, n, CPU)) for n in range(4))

    def no_memory(_: Progress) -> None:
        raise torch.OutOfMemoryError

    alone = dict(fit_cohort([Member(examples(), 0, hooks=Hooks(progress=no_memory))], RECIPE, CPU))
    assert isinstance(alone[0], torch.OutOfMemoryError)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda numbers: monkeypatch.setattr("transferlab.engine.steps.BLOCK_NUMBERS", numbers)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("ema", [None, 0.9])
def test_blocks_of_steps_give_what_single_steps_give(
    optimiser: str, ema: float | None, small_blocks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, optimiser=optimiser, ema=ema, lr=0.01, length=specs.Examples(8 * 30))
    singly = weights(fit(examples(), recipe, 3, CPU))
    monkeypatch.setitem(STEPS, "cpu", Replayed)
    small_blocks(8 * 3 * 16 * 16 * 8)
    blocks = weights(fit(examples(), recipe, 3, CPU))
    assert all(torch.allclose(singly[name], blocks[name], rtol=1e-4, atol=1e-6) for name in singly)


def test_blocks_end_at_checks_and_where_their_random_numbers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = replace(RECIPE, length=UntilFlat(patience=99, check_every=8 * 20, max_examples=8 * 70))
    whole, told = fit(examples(), flat, 0, CPU, validation=examples(30)), list[Progress]()
    monkeypatch.setitem(STEPS, "cpu", Replayed)
    fitted = fit(examples(), flat, 0, CPU, validation=examples(30), hooks=Hooks(progress=told.append))
    assert [at.step for at in told] == [20, 32, 40, 60, 64, 70]
    assert [check["n_seen"] for check in fitted.history] == [160, 320, 480]
    for ours, theirs in zip(fitted.history, whole.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_large_images_make_blocks_smaller_and_change_nothing(
    small_blocks: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "cpu", Replayed)
    whole = fit(examples(), RECIPE, 0, CPU)
    for numbers, longest in ((1, 1), (8 * 3 * 16 * 16 * 5, 4)):
        small_blocks(numbers)
        told: list[Progress] = []
        assert equal(whole, fit(examples(), RECIPE, 0, CPU, hooks=Hooks(progress=told.append)))
        assert told[0].step == longest
