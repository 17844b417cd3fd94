"""Each extension of docs/extending.md, in an empty folder: planned, killed, run to the end, verified, and reported without it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
CODE = dict(re.findall(r"^```python study=(\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
# What each file brings: its kind, and the name that tables and reports show.
BROUGHT = {
    "class_means.py": ("protocol", "class-means"),
    "reciprocal_rank.py": ("metric", "mean reciprocal rank"),
    "orthogonal.py": ("control", "orthogonal"),
    "mixer.py": ("backbone", "mixer"),
    "nadam.py": ("optimiser", "nadam"),
    "long_tail.py": ("design", "long_tail"),
    "json_lines.py": ("image format", "jsonl"),
}
SMALLER = ["--size", "16", "--seeds", "1", "--device", "cpu"]

# One core means one worker, which halves the time: most of it goes into loading torch.
COMMAND = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [cores[int(os.environ["CORE"]) % len(cores)]])
from transferlab.cli import main
main()
"""

# Python imports this of itself, in the workers too: the first takes the command with it before it changes the disk again.
SITECUSTOMIZE = """
import os, signal, sys

def dying(call, left=[6]):
    def instead(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return instead

if "transferlab.runners.worker" in sys.orig_argv:
    for name in ("fsync", "link", "replace", "rename", "unlink", "mkdir", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
"""


@dataclass(frozen=True)
class Lab:
    """A folder with a store; commands run in folders of their own, as real processes."""

    folder: Path

    def do(self, where: str, verb: str, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb in a folder of this name, on the core that is free, with ``path`` before all else that Python imports from."""
        (self.folder / where).mkdir(exist_ok=True)
        paths = [str(path)] if path else []
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        environment["CORE"] = str(list(BROUGHT).index(where) % 2 if where in BROUGHT else 0)
        line = [sys.executable, "-c", COMMAND, verb, *words]
        if verb != "report":
            line += ["--store", str(self.folder / "lab")]
        return subprocess.run(
            line, cwd=self.folder / where, env=environment, capture_output=True, text=True, check=False
        )

    def study(self, verb: str, where: str, code: str, name: str, path: Path | None = None) -> Any:
        """Plan or run a study file, made small, in a folder of its own."""
        (self.folder / where).mkdir(exist_ok=True)
        (self.folder / where / name).write_text(code.replace("100_000", "160"))
        backbone = "mixer:8" if name == "mixer.py" else "small:8"
        return self.do(where, verb, name, *SMALLER, "--backbone", backbone, path=path)

    def survives(self, name: str) -> None:
        """Plan a study, run it until it is killed, and run it to the end."""
        planned = self.study("plan", name, CODE[name], name)
        assert planned.returncode == 0, planned.stderr
        killed = self.study("run", name, CODE[name], name, self.folder / "deadly")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = self.study("run", name, CODE[name], name)
        assert done.returncode == 0, done.stderr
        assert "nothing left to do" not in done.stderr

    def rows(self, study: str) -> list[dict[str, Any]]:
        done = self.do("elsewhere", "table", "--format", "json", "--study", study)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def report(self, form: str, *words: str) -> str:
        """The report, made in a folder without study files."""
        out = self.folder / f"report.{form}"
        done = self.do("elsewhere", "report", str(self.folder / "lab"), "--out", str(out), "--format", form, *words)
        assert done.returncode == 0, done.stderr
        return out.read_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, pictures: Callable[[Path], None]) -> Lab:
    """A lab in which the study of every file was planned, killed, and run to the end."""
    lab = Lab(tmp_path_factory.mktemp("extending"))
    (lab.folder / "deadly").mkdir()
    (lab.folder / "deadly" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    pictures(lab.folder / "json_lines.py" / "pictures")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lab.survives, BROUGHT))
    return lab


def test_the_page_has_one_file_of_each_kind() -> None:
    assert set(BROUGHT) < set(CODE)


def test_a_store_made_with_extensions_is_as_it_was_written(lab: Lab) -> None:
    assert "everything in the store is as it was written" in lab.do("elsewhere", "verify").stdout
    lines = lab.do("elsewhere", "status").stdout.splitlines()
    standing = [line for line in lines if not line.startswith(" ")]  # its images stand indented below each study
    assert len(standing) == len(BROUGHT) and all(" 0 missing" in line for line in standing), standing


def test_results_have_the_names_of_their_extensions(lab: Lab) -> None:
    cells = {(r["protocol"], r["metric"]) for r in lab.rows("class-means") if r["target"] == "digits"}
    protocols = {"class-means by distance cosine", "class-means by distance euclidean", "knn"}
    assert {protocol for protocol, _ in cells} == protocols
    assert ("knn", "mean reciprocal rank") in {(r["protocol"], r["metric"]) for r in lab.rows("reciprocal-rank")}
    assert {r["condition"] for r in lab.rows("orthogonal")} == {"10", "40", "random-features", "orthogonal"}
    assert {r["condition"] for r in lab.rows("long-tail")} == {"even", "long tail", "random-features"}
    assert {r["target"] for r in lab.rows("json-lines")} == {"source", "list"}
    bits = {r["value"] for r in lab.rows("orthogonal") if r["metric"] == "top1" and r["target"] == "digits"}
    assert len(bits) > 2, "orthogonal weights measure otherwise than random ones"


def test_a_report_is_made_where_the_extensions_are_missing_and_says_so(lab: Lab) -> None:
    page, told = lab.report("html"), lab.report("json")
    for name, (kind, called) in BROUGHT.items():
        remark = f"The {kind} {called} is defined in {name}, not in transferlab."
        assert remark in page and remark in told
    assert "if orthogonal checks the study" in page.replace("\n", " ")
    assert "mean reciprocal rank" in page and "nearest class mean" in page


def test_other_code_repeats_what_it_computes_and_another_level_repeats_nothing(lab: Lab) -> None:
    code, before = CODE["class_means.py"], {r["key"] for r in lab.rows("class-means")}
    other = code.replace("torch.cdist(test, means)", "torch.cdist(test, means, p=1)")
    assert other != code
    done = lab.study("run", "class_means.py", other, "class_means.py")
    assert done.returncode == 0 and "class-means: 6 cells to do" in done.stderr, done.stderr
    rows = lab.rows("class-means")
    means = {"class-means by distance cosine", "class-means by distance euclidean"}
    assert {r["protocol"] for r in rows if r["key"] not in before} == means
    assert {r["protocol"] for r in rows if r["key"] in before} == {"own head", "knn"}
    more = code.replace("(10, 40)", "(10, 20, 40)").replace("import torch\n", "import torch  # of tensors\n", 1)
    planned = lab.study("plan", "class_means.py", more, "class_means.py").stdout
    assert "pre-trainings      3, 2 done, 1 to do" in planned
    assert "transfers         12, 9 done, 3 to do" in planned


STUDY = """
from transferlab import Examples, Protocol, Recipe, Study, designs, steps
study = Study(name="packaged", source="toy", targets=["digits"], controls=["random-features"], contrasts=steps(),
              conditions={n: designs.images_per_class(n) for n in (10, 40)}, protocols=[Protocol("class-means")],
              recipe=Recipe(length=Examples(100_000)))
"""


def test_an_installed_package_brings_its_definitions_to_the_command_and_its_workers(lab: Lab) -> None:
    site = lab.folder / "site"
    (site / "my_package-1.0.dist-info").mkdir(parents=True)
    (site / "my_package-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
    )
    (site / "my_package-1.0.dist-info" / "entry_points.txt").write_text("[transferlab]\nmeans = my_package\n")
    code = CODE["class_means.py"].replace('name="class-means",', 'name="class-means", version=1,', 1)
    (site / "my_package.py").write_text(code)
    missing = lab.study("run", "packaged", STUDY, "packaged.py")
    assert missing.returncode == 2 and "there is no protocol 'class-means'" in missing.stderr
    done = lab.study("run", "packaged", STUDY, "packaged.py", site)
    assert done.returncode == 0 and "packaged: 3 cells to do" in done.stderr, done.stderr
    assert "The protocol class-means is defined in my-package 1.0" in lab.report("md", "--study", "packaged")
