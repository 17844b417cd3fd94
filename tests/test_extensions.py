"""Definitions from study files and packages: what counts as their code, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from transferlab.errors import UserError
from transferlab.extensions import TABLES, code_of, fault_of, require_definitions, run_file
from transferlab.origins import Origin
from transferlab.planned import BroughtDefinition
from transferlab.transfer.metrics import METRICS, metrics_of

FILE = """
from functools import partial
from transferlab import Metric

class Constant:
    def __init__(self, value): self.value = value
    def __call__(self, scores, labels): return self.value

def share(scores, labels, of): return of

half = Metric(name="half", labels="one", of=partial(share, of=0.5))
one = Metric(name="one", labels="one", of=Constant(1.0))
study = "levels 1 and 2"
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run a study file with this text; the digest of the code of its metric ``half``."""

    def code(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        run_file(tmp_path / name)
        brought = METRICS.brought("half")
        assert brought is not None
        return brought.code

    yield code
    for table in TABLES:
        for name in [name for name in table if table.brought(name)]:
            del table._all[name], table._brought[name]


def test_functions_and_callable_objects_of_a_study_file_are_found_and_stay_out_of_other_studies(
    run: Callable[[str], str],
) -> None:
    run(FILE)
    assert (METRICS["half"].of(None, None), METRICS["one"].of(None, None)) == (0.5, 1.0)
    assert not {"half", "one"} & {metric.name for metric in metrics_of("one")}


def test_code_is_the_text_of_the_file_without_comments_layout_and_study(run: Callable[[str], str]) -> None:
    first = run(FILE)
    assert run(FILE.replace("levels 1 and 2", "levels 1, 2 and 3")) == first
    assert run(FILE.replace('study = "', 'study: str = "')) == first
    assert run(FILE.replace("of=0.5))", "of = 0.5))  # not more")) == first
    assert run(FILE.replace("of=0.5", "of=0.25")) != first
    assert run(FILE.replace('name="half"', 'name="half", version=1')) != first


def test_code_of_a_definition_of_ours_names_no_file() -> None:
    assert code_of(METRICS["top1"], []) == code_of(METRICS["top5"], [])


def test_a_name_that_cannot_stand_in_a_command_or_is_taken_is_refused(run: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="no metric can be called 'Half!'"):
        run(FILE.replace('name="half"', 'name="Half!"'))
    with pytest.raises(UserError, match="transferlab already has a metric 'top1'"):
        run(FILE.replace('name="half"', 'name="top1"'))


def test_a_setting_called_type_which_stored_data_cannot_hold_is_refused(run: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="a setting called 'type'"):
        run(
            FILE.replace(
                "half = Metric(",
                'from transferlab import Parameter\nhalf = Metric(parameters={"type": Parameter(means="kind")}, ',
            )
        )


def test_a_metric_written_inside_the_study_is_found_too(run: Callable[[str], str]) -> None:
    inside = """
from transferlab import Study
study = Study(source="toy", targets=["digits"], conditions={}, contrasts=[],
              metric=Metric(name="inside", labels="one", of=Constant(1.0)))
"""
    run(FILE + inside)
    assert METRICS["inside"].of(None, None) == 1.0


def test_built_in_questions_and_verdicts_that_a_study_file_imports_are_left_alone(run: Callable[[str], str]) -> None:
    run(FILE + "from transferlab.questions import CLASS_COUNT\nfrom transferlab.answers.verdicts import SAME\n")


def test_resampling_is_refused_for_metrics_of_one_label_whose_cells_keep_no_scores(run: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="cannot have again .*give each"):
        run(FILE.replace('labels="one", of=partial', 'labels="one", again=share, of=partial'))


def test_a_worker_refuses_a_definition_that_is_missing_or_has_changed(run: Callable[[str], str]) -> None:
    code = run(FILE)
    require_definitions([BroughtDefinition("metric", "half", "mine.py", code)])
    with pytest.raises(UserError, match="the metric half has changed since the study was planned"):
        require_definitions([BroughtDefinition("metric", "half", "mine.py", "other")])
    with pytest.raises(UserError, match="the metric third is missing"):
        require_definitions([BroughtDefinition("metric", "third", "mine.py", code)])


def test_a_definition_inside_the_study_counts_with_the_study(run: Callable[[str], str]) -> None:
    inside = """
from transferlab import Metric, Study
study = Study(source="toy", targets=["digits"], conditions={}, contrasts=[],
              metric=Metric(name="half", labels="one", of=lambda scores, labels: 0.5))
"""
    first = run(inside)
    assert run(inside.replace("labels: 0.5", "labels: 0.25")) != first


def test_definitions_in_lists_and_dictionaries_are_found(run: Callable[[str], str]) -> None:
    run(FILE + 'more = {"both": [Metric(name=f"of {k}", labels="one", of=share) for k in (1, 2)]}')
    assert {"of 1", "of 2"} <= set(METRICS)


def test_a_name_that_the_study_gives_once_more_inside_is_refused(run: Callable[[str], str]) -> None:
    study = """
from transferlab import Study, designs, steps
study = Study(source="toy", targets=["toy"], conditions={2: designs.images_per_class(2)}, contrasts=steps(),
              metric=Metric(name="half", labels="one", of=Constant(1.0)))
"""
    with pytest.raises(UserError, match="two metrics are called 'half'"):
        run(FILE + study)


def test_two_definitions_of_one_kind_and_name_are_refused(run: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="two metrics are called 'half'"):
        run(FILE.replace('name="one"', 'name="half"'))


@pytest.mark.parametrize("text", [
    "\ufeff" + FILE, "# -*- coding: latin-1 -*-\n# caf\xe9\n" + FILE, FILE + "import os\nos.chdir('/')\n",
], ids=["a byte-order mark", "another encoding", "a change of folder"])  # fmt: skip
def test_what_python_runs_is_read(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[str], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    encoding = "latin-1" if "latin-1" in text else "utf-8"
    Path("s.py").write_bytes(text.encode(encoding))
    run_file(Path("s.py"))
    assert METRICS["half"].of(None, None) == 0.5


def test_an_error_in_a_definition_is_told_with_its_line_and_one_of_ours_is_not(run: Callable[[str], str]) -> None:
    run(FILE.replace("return of", "return 1 / 0"))
    with pytest.raises(ZeroDivisionError) as theirs:
        METRICS["half"].score(None, None)
    fault = fault_of(theirs.value)
    assert fault is not None
    assert fault.what == "the definition ends with ZeroDivisionError: division by zero"
    assert fault.where.endswith("mine.py, line 9")
    with pytest.raises(KeyError) as ours:
        METRICS["third"]
    assert fault_of(ours.value) is None


@pytest.mark.parametrize(("value", "told"), [("None", "None is no number"), ("float('nan')", "nan is no number")])
def test_a_metric_that_is_no_number_is_refused(value: str, told: str, run: Callable[[str], str]) -> None:
    run(FILE.replace("return of", f"return {value}"))
    with pytest.raises(UserError, match=told):
        METRICS["half"].score(None, None)


def test_weights_and_results_of_images_must_be_as_many_as_the_images(run: Callable[[str], str]) -> None:
    labels = np.zeros(4, np.int32)
    run(
        FILE.replace(
            'labels="one", of=partial', 'labels="one", each=lambda s, l: [1.0], weights=lambda l: [0.5], of=partial'
        )
    )
    with pytest.raises(UserError, match="give a finite number for each test image"):
        METRICS["half"].per_image(None, labels)
    with pytest.raises(UserError, match="give 4 numbers that sum to 1"):
        METRICS["half"].share(labels)


def test_a_control_s_line_must_be_one_that_can_be_drawn() -> None:
    with pytest.raises(UserError, match="colour = 'red' is not possible"):
        Origin(name="mine", colour="red")
    with pytest.raises(UserError, match="dash"):
        Origin(name="mine", dash=(0, 0))
