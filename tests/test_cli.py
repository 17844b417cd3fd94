"""The command line: help, exit codes, and every mistake told in one paragraph with what was there left as it was."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transferlab import cli
from transferlab.errors import UserError
from transferlab.outcomes.store import Store
from transferlab.plan import source_key
from transferlab.questions import QUESTIONS
from transferlab.runners.plans import plans
from transferlab.runners.prepare import Request, prepare

SPECS = ["--source", "imagefolder:photos", "--target", "imagefolder:task"]
PER_CLASS = "images-per-class"
HEAD = "from transferlab import *\nfrom transferlab.specs import *\n"
STUDY = (
    HEAD
    + """
study = Study(source="imagefolder:photos", targets=["imagefolder:task"], seeds=1, controls=[], contrasts=[],
    conditions={n: designs.images_per_class(n) for n in (2, 4)}, recipe=Recipe(backbone="small:8", image_px=16))
"""
)
Call = Callable[..., Any]
Folder = Callable[..., None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, folder: Folder) -> Path:
    """Good and bad image folders, study files, and a store in which one study is planned; nothing writes into it."""
    at = tmp_path_factory.mktemp("world")
    folder(at / "photos", ("animal/cat", "animal/dog", "plant/fern", "plant/moss"))
    folder(at / "task", ("p", "q"))
    folder(at / "one", ("only",))
    (at / "empty").mkdir()
    for split, classes in (("train", ("p", "q")), ("val", ("p", "q")), ("test", ("p", "q", "r"))):
        folder(at / "untrained" / split, classes, 3)
    for split in ("train", "val"):
        folder(at / "untested" / split, ("p", "q"), 3)
    (at / "untrained/val/r").mkdir()
    shutil.copy(at / "untrained/test/r/0.png", at / "untrained/val/r/0.png")
    (at / "file").write_text("x")
    (at / "other").mkdir()
    (at / "other/thing").write_text("x")
    (at / "good.py").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        for specs in (SPECS[3], "imagefolder:untested", "imagefolder:untrained"):
            _planned(at, specs)
    return at


def _planned(at: Path, target: str) -> None:
    """Keep packs and a plan; targets that are refused leave their pack."""
    wanted = Request("good.py", SPECS[1], [target], Path("lab"), device="cpu", size=16)
    if target == SPECS[3]:
        prepare(wanted, lambda *_: None)
    else:
        with pytest.raises(UserError):
            prepare(wanted, lambda *_: None)


@pytest.fixture
def world(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return made


def content(store: Path) -> dict[Path, bytes]:
    """Every file of a store but locks, which are empty and stay."""
    return {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file() and p.parent.name != "claims"}


COMMANDS = sorted(cli.app.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_parses(name: str, call: Call) -> None:
    said = call(name, "--help")
    assert said.code == 0
    assert f"Usage: transferlab {name}" in said.out
    assert "Example" in said.out
    examples = [
        shlex.split(line)[2:] for line in said.out.splitlines() if line.strip().startswith(f"transferlab {name}")
    ]
    assert examples
    for words in examples:
        cli.app.commands[name].make_context(name, words)


def test_help_is_the_same_by_all_its_names(call: Call) -> None:
    bare, long, short = call(), call("--help"), call("-h")
    assert bare == long == short
    assert bare.code == 0
    assert not bare.err
    for name in COMMANDS:
        assert f"\n  {name} " in bare.out
    assert call("--version").code == 0


def test_no_line_of_help_is_wider_than_a_terminal(call: Call) -> None:
    assert all(len(line) <= 100 for name in COMMANDS for line in call(name, "--help").out.splitlines())


MISTAKES: dict[str, tuple[list[str], str]] = {
    "a path that is not there": (["run", PER_CLASS, "--source", "imagefolder:nowhere", *SPECS[2:]], "no such file"),
    "a target that is not there": (["run", PER_CLASS, *SPECS[:3], "imagefolder:nowhere"], "no such file"),
    "an empty folder": (["run", PER_CLASS, "--source", "imagefolder:empty", *SPECS[2:]], "no images here"),
    "one class only": (["run", PER_CLASS, "--source", "imagefolder:one", *SPECS[2:]], "only one class"),
    "a folder without its format": (["run", PER_CLASS, "--source", "photos", *SPECS[2:]], "write imagefolder:photos"),
    "a misspelt format": (["run", PER_CLASS, "--source", "imagefoldr:photos", *SPECS[2:]], "did you mean imagefolder"),
    "a format without a path": (["run", PER_CLASS, "--source", "npz", *SPECS[2:]], "npz needs a path"),
    "a misspelt study": (["run", "image-per-class", *SPECS], "did you mean images-per-class"),
    "an unknown study": (["run", "zzz", *SPECS], "known are images-per-class, class-count"),
    "an unknown recipe": (["run", PER_CLASS, *SPECS, "--recipe", "quik"], "recipes are small, quick"),
    "an unknown option of a spec": (["run", PER_CLASS, *SPECS[:3], "imagefolder:task?nmae=x"], "no option 'nmae'"),
    "an option without a value": (["run", PER_CLASS, *SPECS[:3], "imagefolder:task?resplit"], "has no value"),
    "a target without a test split": (["run", PER_CLASS, *SPECS[:3], "imagefolder:untested", "--size", "16"], "no test"),
    "a class without training images": (["run", PER_CLASS, *SPECS[:3], "imagefolder:untrained", "--size", "16"],
                                        "some classes have test but no training images: 1, for example 'r'"),
    "no target": (["run", PER_CLASS, *SPECS[:2]], "no target"),
    "no source": (["run", PER_CLASS, *SPECS[2:]], "no source"),
    "negative seeds": (["run", PER_CLASS, *SPECS, "--seeds", "-1", "--size", "16"], "from 1 to 1000"),
    "no seeds": (["run", PER_CLASS, *SPECS, "--seeds", "0", "--size", "16"], "from 1 to 1000"),
    "very many seeds": (["run", PER_CLASS, *SPECS, "--seeds", "100000000", "--size", "16"], "from 1 to 1000"),
    "no examples": (["run", PER_CLASS, *SPECS, "--examples", "0", "--size", "16"], "choose from 1 to 1,000,000,000,000"),
    "equal passes and equal examples": (["plan", PER_CLASS, *SPECS, "--examples", "9", "--epochs"], "leave one of them out"),
    "two protocols": (["plan", PER_CLASS, *SPECS, "--protocol", "probe", "--protocol", "knn"], "a study file can list several protocols"),
    "settings of a protocol that contradict each other": (["plan", PER_CLASS, *SPECS, "--protocol", "finetune:examples=9,times=2"],
                                                          "give one of them"),
    "a budget that is no time": (["run", PER_CLASS, *SPECS, "--budget", "soon"], "write for example 90s, 30min"),
    "a budget where there is no GPU": (["plan", PER_CLASS, *SPECS, "--size", "16", "--device", "cuda", "--budget", "1h"],
                                       "plan on the machine that will run the study"),
    "seeds that are no number": (["run", PER_CLASS, *SPECS, "--seeds", "many"], "'many' is not a valid integer"),
    "negative size": (["run", PER_CLASS, *SPECS, "--size", "-1"], "from 8 to 1024"),
    "huge size": (["run", PER_CLASS, *SPECS, "--size", "100000"], "from 8 to 1024"),
    "a file as store": (["run", PER_CLASS, *SPECS, "--store", "file"], "file"),
    "a store inside a file": (["run", PER_CLASS, *SPECS, "--store", "file/lab"], "file"),
    "a folder of other things as store": (["run", PER_CLASS, *SPECS, "--store", "other"], "not empty"),
    "a GPU where there is none": (["run", PER_CLASS, *SPECS, "--device", "cuda"], "no GPU is visible"),
    "an unknown device": (["run", PER_CLASS, *SPECS, "--device", "tpu"], "'auto', 'cpu', 'cuda'"),
    "a pack that is none": (["run", PER_CLASS, "--source", "pack:photos", *SPECS[2:]], "no pack here"),
    "a study that the taxonomy rules out": (["run", "coarse-vs-fine", "--source", "imagefolder:task", *SPECS[2:],
                                             "--size", "16"], "no coarser labels"),
    "no store to report": (["report", "nowhere", "--out", "r.html"], "there is no store"),
    "a file to report": (["report", "file", "--out", "r.html"], "there is no store"),
    "a report into a folder that is not there": (["report", "lab", "--out", "nowhere/r.html"], "no such folder"),
    "a report into a file": (["report", "lab", "--out", "file/r.html"], "no such folder"),
    "a report onto a folder": (["report", "lab", "--out", "photos"], "this is a folder"),
    "a demo into a folder that is not there": (["demo", "--store", "new", "--out", "nowhere/r.html"], "no such folder"),
    "no store to tell of": (["status", "--store", "nowhere"], "there is no store"),
    "no store to verify": (["verify", "--store", "nowhere"], "there is no store"),
    "no store to tabulate": (["table", "--store", "nowhere"], "there is no store"),
    "parquet on a terminal": (["table", "--store", "lab", "--format", "parquet"], "name a file with --out"),
    "a study that the store does not have": (["report", "lab", "--out", "r.html", "--study", "zzz"], "it has study"),
    "a study to tabulate that is not there": (["table", "--store", "lab", "--study", "zzz"], "it has study"),
    "a table onto a folder": (["table", "--store", "lab", "--out", "photos"], "photos"),
    "several label sets": (["taxonomy", "toy", "--cut", "1", "--merge-up", "1"], "name one of them"),
    "an unknown node": (["taxonomy", "toy", "--under", "unicorn"], "no node 'unicorn'"),
    "an unknown node to draw": (["taxonomy", "toy", "--tree", "unicorn"], "no node 'unicorn'"),
    "a word of several senses": (["taxonomy", "imagenet-1k", "--under", "dog"], "'dog' has 7 senses"),
    "a noun that is none": (["taxonomy", "imagenet-1k", "--tree", "goldfihs"], "did you mean goldfish"),
    "an unknown wnid": (["taxonomy", "imagenet-1k", "--under", "n02084072"], "no noun of WordNet 3.0 has the wnid"),
    "more labels than classes": (["taxonomy", "toy", "--balanced", "65"], "from 1 to 64"),
    "classes that no noun is": (["taxonomy", "imagefolder:task?taxonomy=wordnet"], "header class,wnid"),
    "a map of synsets that is not there": (["taxonomy", "imagefolder:task?taxonomy=none.csv"], "no such taxonomy file"),
    "a depth that is not there": (["taxonomy", "toy", "--cut", "9"], "from 0 to 3"),
    "a merge that is not there": (["taxonomy", "toy", "--merge-up", "9"], "from 1 to 3"),
    "a pack over other things": (["pack", "imagefolder:photos", "other", "--size", "16"], "is not a pack"),
    "a pack over a file": (["pack", "imagefolder:photos", "file", "--size", "16"], "is not a pack"),
    "a pack that is too small": (["pack", "imagefolder:photos", "p", "--size", "3"], "from 8 to 1024"),
    "a pack without a size": (["pack", "imagefolder:photos", "p"], "Missing option '--size'"),
    "a picture into a file": (["sheet", "imagefolder:photos", "--out", "file/x.png"], "cannot be written"),
    "copies in images that are not there": (["leakage", *SPECS[:3], "imagefolder:nowhere"], "nowhere"),
    "copies at an impossible size": (["leakage", *SPECS, "--size", "4"], "from 8 to 1024"),
    "copies without a target": (["leakage", *SPECS[:2]], "Missing option '--target'"),
    "a picture of copies onto a folder": (["leakage", *SPECS, "--out", "photos"], "this is a folder"),
    "copies in a folder of other things": (["leakage", *SPECS, "--store", "other"], "not empty"),
    "copies in a target without a test split": (["leakage", *SPECS[:3], "imagefolder:untested", "--size", "16"], "no test"),
    "no annotations to score against": (["score-detections", "--ground-truth", "nowhere", "--detections", "other", "--metric",
                                         "coco"], "no files comp?_det_<set>_<class>.txt here"),
    "no metric": (["score-detections", "--ground-truth", "other", "--detections", "file"], "Missing option '--metric'"),
    "an unknown metric": (["score-detections", "--ground-truth", "other", "--detections", "file", "--metric", "voc"],
                          "'voc07', 'voc10', 'coco'"),
    "an unknown command": (["rnu"], "No such command 'rnu'"),
    "an unknown option": (["run", PER_CLASS, "--sorce", "x"], "--source"),
    "an argument too many": (["status", "lab"], "unexpected extra argument"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_paragraph_and_changes_nothing(mistake: str, world: Path, call: Call) -> None:
    words, told = MISTAKES[mistake]
    before = content(world)
    said = call(*words)
    assert said.code == 2
    assert told in said.paragraph
    assert not said.out
    assert content(world) == before


WRONG_STUDIES: dict[str, tuple[str, str]] = {
    "a syntax error": ("x = 1\ndef :\n", "not valid Python: invalid syntax (study.py, line 2)"),
    "no study": ("x = 1\n", "defines no study"),
    "another kind of study": ("study = 3\n", "defines no study"),
    "an import that fails": ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found' (study.py, line 1)"),
    "a name that is not there": ("\n\nstudy = Stduy()\n", "NameError: name 'Stduy' is not defined (study.py, line 3)"),
    "an error in a function": ("def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError: division by zero (study.py, line 2)"),
    "an exit": ("raise SystemExit(3)\n", "SystemExit: 3 (study.py, line 1)"),
    "an error of many lines": ("raise ValueError('one\\ntwo\\x1b[31m')\n", "one�two�[31m"),
    "an unknown keyword": (HEAD + "designs.images_per_class(n=1, sort='keep')\n", "unexpected keyword argument 'sort'"),
    "an unknown field": (HEAD + "study = Study(sources='toy')\n", "unexpected keyword argument 'sources'"),
    "an unknown control": (STUDY.replace("controls=[]", "controls=['scrach']"), "did you mean scratch? known are scratch, random-features"),
    "an unknown design": (STUDY.replace("designs.images_per_class(n)", "Design('image_per_class', {'n': n})"),
                          "did you mean images_per_class?"),
    "an unknown setting": (STUDY.replace("designs.images_per_class(n)", "Design('images_per_class', {'m': n})"),
                        "its settings are: n, short"),
    "an impossible level": (STUDY.replace("(2, 4)", "(400, 2)"), "choose from 1 to 6"),
    "an unknown reference": (STUDY.replace("seeds=1", "seeds=1, reference='9'"), "conditions are 2, 4"),
    "no conditions": (STUDY.replace("(2, 4)", "()"), "no conditions"),
    "no protocols": (STUDY.replace("seeds=1", "seeds=1, protocols=[]"), "no protocol"),
    "a condition called like a control": (STUDY.replace("for n in (2, 4)", "for n in ('scratch',)"), "rename it"),
    "conditions in a list": (STUDY.replace("{n: designs.images_per_class(n) for n in (2, 4)}", "[designs.all_images()]"),
                             "write for example conditions={"),
    "two conditions of one name": (STUDY.replace("for n in (2, 4)", "for n in (2, '2')"), "two conditions are called '2'"),
    "a single text as targets": (STUDY.replace('["imagefolder:task"]', '"imagefolder:task"'), 'targets=["digits"]'),
    "a number as source": (STUDY.replace('"imagefolder:photos"', "3"), "source cannot be 3"),
    "seeds in words": (STUDY.replace("seeds=1", "seeds='five'"), "seeds=5"),
    "a protocol's name": (STUDY.replace("seeds=1", "seeds=1, protocols=['probe']"), "protocols=[probe()]"),
    "a single contrast": (STUDY.replace("contrasts=[]", "contrasts=compare('4', '2')"), "contrasts=steps()"),
    "a number as reference": (STUDY.replace("seeds=1", "seeds=1, reference=4"), 'reference="20"'),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG_STUDIES)
def test_a_wrong_study_file_is_told_with_its_place(
    mistake: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    text, told = WRONG_STUDIES[mistake]
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "task"):
        (tmp_path / name).symlink_to(world / name)
    Path("study.py").write_text(text)
    before = content(world / "lab")
    said = call("run", "study.py", "--store", str(world / "lab"))
    assert said.code == 2
    assert told in said.paragraph
    assert content(world / "lab") == before
    assert not Path("__pycache__").exists()


EXITING = """
import sys
from transferlab import DesignDefinition, Study
leave = DesignDefinition(name="leave", draw=lambda drawn: sys.exit(0))
study = Study(source="imagefolder:photos", targets=["imagefolder:task"], conditions={"a": leave()}, contrasts=[], seeds=1)
"""


FAILING = """
from torch.optim import SGD
from transferlab import OptimiserDefinition
class Failing(SGD):
    def step(self, closure=None):
        raise ValueError("no step today")
failing = OptimiserDefinition(name="failing", build=lambda network, recipe: Failing(network.parameters(), lr=0.1))
"""


def planned(world: Path, folder: Path, study: str) -> subprocess.CompletedProcess[str]:
    """Plan a study file, in a process of its own, beside the world's images."""
    for name in ("photos", "task"):
        (folder / name).symlink_to(world / name)
    (folder / "study.py").write_text(study)
    words = [sys.executable, "-m", "transferlab", "plan", "study.py", "--store", str(folder / "lab"), "--device", "cpu"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_an_optimiser_from_outside_that_fails_while_its_speed_is_measured_is_told_with_its_line(
    world: Path, tmp_path: Path
) -> None:
    done = planned(world, tmp_path, FAILING + STUDY.replace("image_px=16", "image_px=16, optimiser='failing'"))
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert told == [
        f"transferlab: the definition ends with ValueError: no step today ({tmp_path}/study.py, line 6): correct it."
    ]


def test_code_from_outside_that_exits_is_told_with_its_line(world: Path, tmp_path: Path) -> None:
    done = planned(world, tmp_path, EXITING)
    assert done.returncode == 2
    assert "the definition ends with SystemExit: 0" in done.stderr and "study.py, line 4" in done.stderr


def test_a_report_is_made_beside_an_installed_extension_that_does_not_load(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[transferlab]\nmine = nowhere.at.all:mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copytree(world / "lab", tmp_path / "lab")
    store = Store.open(tmp_path / "lab", create=False)
    (plan,) = plans(store)
    score = {"seconds": 1.0, "made_by": {}, "metrics": {"top1": 0.5}}
    store.write_cell(source_key(plan.trainings[0].key), [], score, {})
    said = call("report", str(store.path), "--out", str(tmp_path / "r.html"))
    assert said.code == 0
    assert "left out: the installed extension mine does not load" in said.err
    assert (tmp_path / "r.html").is_file()
    assert "does not load" in call("plan", "images-per-class", "--source", "toy", "--target", "digits").paragraph


def test_help_names_every_built_in_study(call: Call) -> None:
    assert all(name in call("run", "--help").out for name in QUESTIONS)


def test_a_study_file_that_is_not_there_is_told(world: Path, call: Call) -> None:
    assert "no such study file" in call("run", "nowhere.py").paragraph


@pytest.mark.parametrize("wrong", [["--recipe", "quik"], ["--seeds", "0"], ["--backbone", "smal"]])
def test_a_mistake_in_words_is_told_before_any_image_is_read(wrong: list[str], world: Path, call: Call) -> None:
    said = call("run", PER_CLASS, *SPECS, "--store", "new", *wrong)
    shutil.rmtree(world / "new", ignore_errors=True)
    assert said.code == 2
    assert said.paragraph == said.err.strip()


@pytest.mark.parametrize("name", ["smal", "small:x", "small:2", "timm:resnet81", "torchvision:resnet81"])
def test_an_unknown_backbone_is_told(name: str, world: Path, call: Call) -> None:
    before = content(world)
    said = call("plan", PER_CLASS, *SPECS, "--size", "16", "--backbone", name)
    assert said.code == 2
    assert name.removeprefix("timm:").removeprefix("torchvision:") in said.paragraph
    assert content(world) == before


def test_size_nought_is_no_size(world: Path, call: Call) -> None:
    assert (
        "from 8 to 1024" in call("run", PER_CLASS, "--source", "imagefolder:one", *SPECS[2:], "--size", "0").paragraph
    )


def test_an_empty_store_is_told_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open(Path("lab"), create=True)
    before = content(tmp_path)
    assert "no study has been run" in call("report", "lab", "--out", "r.html").paragraph
    assert call("status").out == "no study has been run in this store\n"
    assert call("table").out == "no cell has been computed yet: see transferlab run --help\n"
    assert call("verify").code == 0
    assert content(tmp_path) == before


def test_a_store_of_which_nothing_is_done_is_told_as_that(world: Path, tmp_path: Path, call: Call) -> None:
    said = call("status", "--store", "lab")
    assert said.code == 0
    assert "study: 1 seed of photos: 0 of 6 cells done, 6 missing, 0 of them failed" in said.out
    assert "planned are study (study" in call("report", "lab", "--out", str(tmp_path / "r.html")).paragraph
    assert not (tmp_path / "r.html").exists()


def test_verify_tells_damage_by_its_exit_code(world: Path, tmp_path: Path, call: Call) -> None:
    lab = tmp_path / "lab"
    shutil.copytree(world / "lab", lab)
    assert call("verify", "--store", str(lab)).code == 0
    damaged = next((lab / "subsets").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    said = call("verify", "--store", str(lab))
    assert said.code == 1
    assert damaged.name in said.out
    assert "1 problem" in said.out


def test_copies_are_told_in_words_and_as_json(world: Path, tmp_path: Path, call: Call) -> None:
    shutil.copytree(world / "task", tmp_path / "task")
    shutil.copy(world / "photos/animal/cat/0.png", tmp_path / "task/p/copy.png")
    words = ["leakage", *SPECS[:3], f"imagefolder:{tmp_path}/task", "--size", "16", "--store", str(tmp_path / "lab")]
    said = call(*words, "--out", str(tmp_path / "pairs.png"))
    assert said.code == 0 and "task: " in said.out and "are copies" in said.out and "pairs.png" in said.out
    (pair,) = [each for each in json.loads(call(*words, "--format", "json").out) if each["exact"]]
    assert (pair["image"], pair["like"]) == ("p/copy.png", "animal/cat/0.png")


def test_a_pack_is_made_once_and_another_is_not_overwritten(world: Path, tmp_path: Path, call: Call) -> None:
    out = str(tmp_path / "packed")
    first = call("pack", "imagefolder:photos", out, "--size", "16")
    assert first.code == 0
    assert "40 images (24 train, 8 val, 8 test), 4 classes, 16 px" in first.out
    before = content(Path(out))
    assert call("pack", "imagefolder:photos", out, "--size", "16").out == first.out
    assert "contains another pack" in call("pack", "imagefolder:task", out, "--size", "16").paragraph
    assert "contains another pack" in call("pack", "imagefolder:photos", out, "--size", "24").paragraph
    assert content(Path(out)) == before


def test_tables_and_label_sets_are_whole_in_every_format(world: Path, call: Call) -> None:
    labels = json.loads(call("taxonomy", "imagefolder:photos", "--cut", "1", "--format", "json").out)
    assert labels["n_labels"] == 2
    assert call("taxonomy", "imagefolder:photos", "--under", "plant").out == "plant/fern\nplant/moss\n"
    assert call("taxonomy", "imagefolder:photos", "--cut", "1", "--format", "csv").out.startswith("leaf,label\n")
    assert json.loads(call("table", "--store", "lab", "--format", "json").out) == []
    assert call("table", "--store", "lab", "--format", "csv").out == ""


def test_a_run_with_a_cell_that_fails_does_the_rest_and_ends_with_1(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = STUDY.replace("image_px=16", "image_px=16, lr=1e30, length=Examples(640), precision='fp32'")
    (tmp_path / "study.py").write_text(
        study.replace("(2, 4)", "(2,)").replace("controls=[]", "controls=['random-features']")
    )
    said = call("run", str(tmp_path / "study.py"), "--store", str(tmp_path / "lab"), "--device", "cpu")
    assert said.code == 1
    assert "failed: " in said.err
    assert "Traceback" not in said.err
    assert "random-features" in call("table", "--store", str(tmp_path / "lab")).out
    assert "1 of them failed" in call("status", "--store", str(tmp_path / "lab")).out


def test_light_commands_load_neither_torch_nor_timm(world: Path, tmp_path: Path) -> None:
    script = """
import sys
from transferlab import cli
for words in (["--help"], ["run", "--help"], ["status", "--store", "lab"], ["table", "--store", "lab"],
              ["taxonomy", "imagefolder:photos"], ["report", "lab", "--out", sys.argv[1]], ["run", "zzz"],
              ["run", "images-per-class", "--source", "imagefolder:photos", "--target", "imagefolder:untested", "--size", "16"]):
    sys.argv[1:] = words
    try:
        cli.main()
    except SystemExit as left:
        assert left.code in (None, 0, 2), words
    loaded = {"torch", "torchvision", "timm", "sklearn"} & set(sys.modules)
    assert not loaded, (words, loaded)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "r.html")], check=True, capture_output=True)


def test_a_reader_that_leaves_early_gets_no_traceback(world: Path) -> None:
    line = f"{shlex.join([sys.executable, '-m', 'transferlab'])} taxonomy toy --tree '' --format json | head -c 9"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, check=False)
    assert done.stdout == '[{"depth"'
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)  # 0: all of it fitted into the pipe
