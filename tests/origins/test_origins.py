"""Controls: by which protocol each is measured, what it is trained on, and what it says of a study."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from transferlab import Protocol, designs, detect, finetune, knn, probe
from transferlab.answers.estimate import Estimate
from transferlab.answers.intervals import Interval
from transferlab.answers.verdicts import verdict_on
from transferlab.origins import ORIGINS
from transferlab.origins.definition import Asked, Comparison
from transferlab.specs import Contrast

SCRATCH, RANDOM = ORIGINS["scratch"], ORIGINS["random-features"]


def measured(origin: str, protocols: Sequence[Protocol], n_examples: int = 1000) -> list[Protocol | None]:
    return [ORIGINS[origin].measured(Asked(p, protocols, n_examples)) for p in protocols]


def test_scratch_trains_every_layer_at_the_shots_of_each_protocol() -> None:
    for_all, for_few = measured("scratch", [probe(), knn(shots=4)])
    assert for_all is not None and for_few is not None
    assert (for_all.kind, for_all.shots, for_all.knobs["examples"]) == ("finetune", None, 500)
    assert (for_few.kind, for_few.shots, for_few.knobs["examples"]) == ("finetune", 4, 500)
    (longest,) = measured("scratch", [probe()], 10**9)
    assert longest is not None and longest.knobs["examples"] == 60_000


def test_scratch_takes_the_studys_own_fine_tuning_where_there_is_one() -> None:
    few, all_of_them = finetune(shots=5, examples=70), finetune(examples=700)
    found = measured("scratch", [probe(shots=5), few, all_of_them])
    assert [p and (p.shots, p.knobs["examples"]) for p in found] == [(5, 70), (5, 70), (None, 700)]


def test_scratch_begins_with_a_random_last_layer_at_three_times_the_rate_of_fine_tuning() -> None:
    for found in measured("scratch", [finetune(), finetune(lr=0.01, examples=9), probe()]):
        assert found is not None and found.knobs["head"] == "random"
    assert [p and p.knobs["lr"] for p in measured("scratch", [finetune(), finetune(lr=0.01)])] == pytest.approx(
        [0.15, 0.03]
    )


def test_scratch_sees_three_times_as_many_examples_as_fine_tuning_whose_length_follows_the_target() -> None:
    found = measured("scratch", [finetune(), finetune(times=2.0), probe()])
    assert [p and p.knobs.get("times") for p in found] == [3.0, 6.0, 3.0]


def test_random_features_are_never_trained() -> None:
    assert measured("random-features", [probe(), finetune()]) == [probe(), None]
    (frozen,) = measured("random-features", [detect(examples=50)])
    assert frozen is not None and (frozen.knobs["frozen"], frozen.knobs["examples"]) == ("all", 50)


def test_pre_trained_controls_are_measured_as_the_conditions_are() -> None:
    for name in ("shuffled-labels", "a/a"):
        assert measured(name, [probe(), finetune()]) == [probe(), finetune()]


def test_only_controls_with_a_design_are_pre_trained() -> None:
    design = designs.images_per_class(5)
    made = {name: origin.design and origin.design(design) for name, origin in ORIGINS.items()}
    assert made == {
        "scratch": None,
        "random-features": None,
        "a/a": design,
        "shuffled-labels": designs.shuffled(design),
        "recipe": None,
    }
    assert [name for name, origin in ORIGINS.items() if origin.divides_lr] == ["recipe"]


def estimate(low: float, high: float) -> Estimate:
    interval = Interval((low + high) / 2, low, high, 0.01)
    return Estimate(Contrast("c", {"a": 1.0, "b": -1.0}, 0.0), "t", "top1", interval.value, low, high, "images like these", 5, 0,
                    "", verdict_on(interval, 0.0), 0.01, 0.01)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "bad", "good"), [("a/a", (0.01, 0.03), (-0.01, 0.02)), ("shuffled-labels", (0.01, 0.03), (-0.2, -0.1))]
)
def test_a_control_alarms_only_when_something_is_wrong(
    name: str, bad: tuple[float, float], good: tuple[float, float]
) -> None:
    check = ORIGINS[name].check
    assert check is not None
    for (low, high), alarm in ((bad, True), (good, False)):
        said = check(Comparison("20", None, lambda a, b, low=low, high=high: [estimate(low, high)]))
        assert (said.name, said.alarm) == (name, alarm)
    assert "no results yet" in check(Comparison("20", None, lambda a, b: [])).sentence


def test_one_control_is_the_floor_and_each_has_a_line_of_its_own() -> None:
    assert [name for name, origin in ORIGINS.items() if origin.is_floor] == ["random-features"]
    assert len({(origin.colour, origin.dash) for origin in ORIGINS.values()}) == len(ORIGINS)
    assert all(origin.title and origin.explained for origin in ORIGINS.values())
