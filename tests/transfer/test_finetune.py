"""Fine-tuning: the given network stays as it is, a probe comes first, all layers move, a resumed training ends in equal bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.engine.batches import Place
from transferlab.engine.fit import Hooks, Progress, Snapshot, TrainingFailed
from transferlab.errors import UserError
from transferlab.specs import Augmentation, Examples, Pack, Recipe, TargetFacts
from transferlab.transfer import finetune
from transferlab.transfer.measure import Workspace, problem_of
from transferlab.transfer.probe import fit_predict as fit_probe
from transferlab.transfer.probe import last_layer
from transferlab.transfer.problem import Network, Problem
from transferlab.transfer.protocols import finetune as protocol
from transferlab.transfer.protocols.finetune import LEAST, MOST, examples_of
from transferlab.transfer.targets import view

RECIPE = Recipe(backbone="small:8", image_px=16, batch=16, augmentation=Augmentation(2, flip=False), precision="fp32",
                optimiser="adamw", label_smoothing=0.3, ema=0.9)  # fmt: skip


@pytest.fixture
def problem(make_pack: Callable[..., Pack]) -> Problem:
    torch.set_num_threads(1)
    pack = make_pack((12,) * 4)
    network = Network(build("small:8", 16, 1), RECIPE, pack.mean, pack.std)
    return problem_of(network, view(pack), protocol(examples=640, lr=0.05), 0, Workspace(Place("cpu", "fp32")))


def test_the_network_that_it_starts_from_is_left_as_it_was(problem: Problem) -> None:
    before = {k: v.clone() for k, v in problem.network.backbone.state_dict().items()}
    finetune.fit_predict(problem, 640)
    assert all(torch.equal(v, before[k]) for k, v in problem.network.backbone.state_dict().items())


def test_it_begins_with_the_probe(problem: Problem) -> None:
    """After one step at next to no rate, what it predicts is what a linear probe on the frozen features predicts."""
    still = finetune.fit_predict(replace(problem, settings={**problem.settings, "lr": 1e-9}), 16).scores
    layer, _ = last_layer(problem)
    assert still is not None and layer is not None
    features = problem.features("test")
    expected = torch.log_softmax(layer(features), 1).detach()
    assert (still.argmax(1) == expected.argmax(1)).float().mean() > 0.9  # one step moves the norms' statistics
    unlike = finetune.fit_predict(replace(problem, settings={**problem.settings, "lr": 1e-9, "head": "random"}), 16)
    assert unlike.scores is not None
    assert (unlike.scores - expected).abs().mean() > 3 * (still - expected).abs().mean()


def test_the_layer_that_it_begins_with_predicts_what_the_probe_predicts(problem: Problem) -> None:
    (layer, penalty), found = last_layer(problem), fit_probe(problem)
    scores = found.scores
    assert layer is not None and scores is not None
    ours = torch.log_softmax(layer(problem.features("test")), 1).detach()
    assert penalty == found.chosen["penalty"]
    assert torch.equal(ours.argmax(1), scores.argmax(1))
    assert (ours.exp() - scores.exp()).abs().max() < 0.1  # it is fitted more roughly


def random_head(problem: Problem, lr: float) -> Problem:
    return replace(problem, settings={**problem.settings, "lr": lr, "head": "random"})


def test_if_the_loss_is_finite_at_no_rate_the_cell_fails_and_names_them(problem: Problem) -> None:
    with pytest.raises(
        TrainingFailed, match="not finite at the rates 1e[+]30, 3.33e[+]29, 1.11e[+]29: lower finetune's setting lr"
    ):
        finetune.fit_predict(random_head(problem, 1e30), 640)


@pytest.fixture
def too_fast(problem: Problem) -> Problem:
    """At the rate of its settings the loss does not stay finite, at a third of it it does; found by bisection."""
    low, high = 0, 63  # powers of three: 1 and 1e30
    while high - low > 1:
        middle = (low + high) // 2
        try:
            lowered = finetune.fit_predict(random_head(problem, 3.0**middle), 640).chosen["lr"] < 3.0**middle
        except TrainingFailed:
            lowered = True
        low, high = (low, middle) if lowered else (middle, high)
    return random_head(problem, 3.0**high)


def test_a_rate_without_a_finite_loss_is_lowered_and_a_stop_after_that_changes_nothing(too_fast: Problem) -> None:
    whole = finetune.fit_predict(too_fast, 640)
    assert whole.chosen["lr"] == pytest.approx(too_fast.settings["lr"] / 3)
    kept: list[Snapshot] = []
    finetune.fit_predict(replace(too_fast, hooks=Hooks(due=lambda step: step == 39, save=kept.append)), 640)
    assert len(kept[-1].history) == 1  # the rate that was lost
    resumed = finetune.fit_predict(replace(too_fast, hooks=Hooks(resume=kept[-1])), 640)
    assert resumed.chosen == whole.chosen
    assert whole.scores is not None and resumed.scores is not None
    assert torch.equal(whole.scores, resumed.scores)


def test_where_features_do_not_fit_in_memory_it_begins_with_a_random_layer_and_records_no_penalty(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "penalty" in finetune.fit_predict(problem, 16).chosen
    monkeypatch.setattr("transferlab.transfer.problem.HELD_BYTES", 0)
    assert set(finetune.fit_predict(problem, 16).chosen) == {"lr", "examples"}


def test_it_sees_validation_images_too(problem: Problem) -> None:
    """A class that has images in validation alone is learnt."""
    train = problem.data.train
    few = replace(train, rows=train.rows[train.labels > 0], labels=train.labels[train.labels > 0])
    found = finetune.fit_predict(replace(problem, data=replace(problem.data, train=few)), 640)
    assert found.scores is not None
    assert 2 < int((found.scores.argmax(1) == 0).sum()) < 12  # 6 of the 24 test images are of this class


def test_its_recipe_is_the_networks_own_with_plain_sgd_at_the_protocols_length(problem: Problem) -> None:
    recipe = finetune.recipe_of(problem, 0.05, 640)
    assert (recipe.batch, recipe.augmentation, recipe.weight_decay) == (16, RECIPE.augmentation, RECIPE.weight_decay)
    assert (recipe.optimiser, recipe.label_smoothing, recipe.ema, recipe.length) == ("sgd", 0.0, None, Examples(640))


def stopped(problem: Problem, save_at: int) -> Snapshot:
    """The snapshot of a fine-tuning that is stopped after this many steps."""
    kept: list[Snapshot] = []

    def save(taken: Snapshot) -> None:
        kept.append(taken)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        finetune.fit_predict(replace(problem, hooks=Hooks(due=lambda step: step == save_at, save=save)), 640)
    return kept[0]


@pytest.mark.parametrize("save_at", [1, 39])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(save_at: int, problem: Problem) -> None:
    taken = stopped(problem, save_at)
    assert taken.step == save_at
    whole = finetune.fit_predict(problem, 640)
    said: list[Progress] = []
    resumed = finetune.fit_predict(replace(problem, hooks=Hooks(progress=said.append, resume=taken)), 640)
    assert whole.chosen == resumed.chosen
    assert whole.scores is not None and resumed.scores is not None
    assert torch.equal(whole.scores, resumed.scores)
    trained = [at.step for at in said if at.n_steps == 40]
    assert (trained[0], trained[-1]) == (save_at + 1, 40)


def test_a_snapshot_that_does_not_fit_is_told_and_the_training_begins_anew(problem: Problem) -> None:
    why: list[str] = []
    other = replace(stopped(problem, 9), tensors={})
    said: list[Progress] = []
    hooks = Hooks(progress=said.append, resume=other, discard=why.append)
    finetune.fit_predict(replace(problem, hooks=hooks), 640)
    assert len(why) == 1
    assert next(at.step for at in said if at.n_steps == 40) == 1


def test_it_tells_how_far_it_is(problem: Problem) -> None:
    said: list[Progress] = []
    finetune.fit_predict(replace(problem, hooks=Hooks(progress=said.append)), 640)
    trained = [at for at in said if at.n_steps == 40]
    assert [at.step for at in trained] == [*range(1, 41), 40]  # the pass over the test images tells that it goes on
    assert all(at.n_seen == 16 * at.step for at in trained)


def test_its_length_follows_from_the_number_of_images_unless_the_study_sets_it() -> None:
    def length(n_images: int, **settings: float) -> int:
        return examples_of(protocol.settings(settings), n_images)

    assert protocol.together is not None
    assert [length(n) for n in (1, 10**9)] == [LEAST, MOST]
    grown = [length(n) for n in (50, 280, 1000, 4000, 20_000)]
    assert grown == sorted(grown)
    passes = [n_examples / n for n_examples, n in zip(grown, (50, 280, 1000, 4000, 20_000), strict=True)]
    assert passes == sorted(passes, reverse=True)
    assert length(1000, times=2.0) == pytest.approx(2 * length(1000), abs=1)
    assert length(1000, examples=77) == 77
    with pytest.raises(UserError, match="give one of them"):
        protocol.together(protocol.settings({"examples": 77, "times": 2.0}))


def test_a_target_of_4000_images_costs_at_most_15_percent_of_a_pre_training() -> None:
    target = TargetFacts("t", "0", "t", n_train=3200, n_val=800, n_test=1000)
    assert protocol.cost is not None
    assert 0.1 < protocol.cost(protocol.settings({}), target, Recipe()) / 250_000 < 0.15


def test_its_stated_cost_is_what_it_does(problem: Problem) -> None:
    data, cost = problem.data, protocol.cost
    facts = TargetFacts("t", "0", "t", n_train=len(data.train.rows), n_val=len(data.val.rows), n_test=len(data.test))
    assert cost is not None
    passes = facts.n_train + facts.n_val + facts.n_test
    assert cost(problem.settings, facts, RECIPE) == pytest.approx(protocol.run(problem).chosen["examples"] + passes / 3)
