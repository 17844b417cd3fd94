"""Imports point down, without circles; where heavy packages may be loaded; and no code that runs what it reads."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import transferlab

SOURCE = Path(transferlab.__file__).parent

# From the bottom to the top: a room imports only rooms that stand before it in this list. "transferlab" are the package's
# public names; a file directly under the package is a room of its own.
ROOMS = [
    "errors", "events", "identity", "sealed", "text", "typed", "console", "definitions", "taxonomy", "specs", "contrasts", "planned", "images", "engine",
    "outcomes", "answers", "designs", "transfer", "origins", "transferlab", "extensions", "validate", "questions", "plan", "tasks",
    "runners", "report", "endings", "cli_images", "cli", "__main__",
]  # fmt: skip
# What some of them must not know, though it stands below them: nothing but these, and errors, identity and definitions.
KEEPS_TO: dict[str, set[str]] = {
    "errors": set(),
    "events": set(),
    "identity": set(),
    "sealed": set(),
    "text": set(),
    "typed": set(),
    "console": {"events"},
    "engine": {"specs"},  # arrays in, networks out: no studies, files or taxonomies
    "images": {"specs", "taxonomy"},
    "outcomes": {"specs"},
    "designs": {"specs", "taxonomy"},
    "transfer": {"specs", "taxonomy", "engine"},
    "answers": {"specs", "planned"},  # pure functions of arrays: report.gather reads the store for them
    "origins": {"specs", "planned", "designs", "transfer", "answers"},
    "tasks": {"plan", "planned"},
    "__main__": {"cli"},
}
EVERYBODYS = {"errors", "identity", "sealed", "text", "definitions"}

# Who may load a package at import ("now"), and who may besides inside a function ("later"); numpy is everywhere.
NOW: dict[str, set[str]] = {
    "torch": {"engine", "transfer", "runners.networks", "runners.do", "runners.worker", "runners.calibrate"},
    "safetensors": {"runners.networks"},
    "PIL": {"images", "report"},
    "filelock": {"images", "outcomes"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "click": {"cli", "cli_images", "endings"},
}
LATER: dict[str, set[str]] = {
    "torchvision": {"engine", "images", "transfer"},
    "timm": {"engine"},
    "scipy": {"answers", "images"},
    "sklearn": {"images"},
    "pyarrow": {"images", "outcomes"},
    "rich": {"console"},
    "faster_coco_eval": {"transfer"},
}
WITH_TORCH = {
    "engine.alexnet", "engine.backbone", "engine.batches", "engine.cohort", "engine.drops", "engine.fit", "engine.muon",
    "engine.pixels", "engine.small", "engine.stem", "engine.steps", "transfer.finetune", "transfer.induction", "transfer.knn", "transfer.logistic",
    "transfer.detect.assign", "transfer.detect.detector", "transfer.detect.faster_rcnn", "transfer.detect.fcos",
    "transfer.detect.heads", "transfer.detect.maps", "transfer.detect.model", "transfer.detect.overlaps",
    "transfer.detect.regions", "transfer.detect.scenes", "transfer.detect.training",
    "transfer.measure", "transfer.probe", "transfer.problem", "transfer.refit",
    "runners.calibrate", "runners.do", "runners.networks", "runners.worker",
}  # fmt: skip


@dataclass(frozen=True)
class Arrow:
    """An import: from a module to a module, now or inside a function; ours are named without the package's name."""

    source: str
    target: str
    now: bool

    @property
    def ours(self) -> bool:
        return self.target in trees()


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package, by its name without the package's; the package itself is "transferlab"."""
    found: dict[str, ast.Module] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        found[name or "transferlab"] = ast.parse(path.read_text())
    return found


def room(module: str) -> str:
    return module.partition(".")[0]


@cache
def arrows() -> tuple[Arrow, ...]:
    return tuple(a for module, tree in trees().items() for a in (*_arrows(module, tree, True), *_by_name(module, tree)))


def _arrows(module: str, node: ast.AST, now: bool) -> Iterator[Arrow]:
    """Imports for type checking alone count too, though they load nothing."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Arrow(module, _short(name.name), now) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{module} imports relatively"
            whole = [f"{child.module}.{name.name}" for name in child.names]
            yield from (Arrow(module, _short(w if _short(w) in trees() else str(child.module)), now) for w in whole)
        typing_only = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from _arrows(module, child, now and not typing_only and not isinstance(child, ast.FunctionDef))


def _by_name(module: str, tree: ast.Module) -> Iterator[Arrow]:
    """Packages that ``import_module`` loads: every name of one in a module that calls it."""
    if any(isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") for node in ast.walk(tree)):
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        yield from (Arrow(module, t, False) for t in texts if isinstance(t, str) and room(t) in {*NOW, *LATER})


def _short(name: str) -> str:
    return name.removeprefix("transferlab.") if name.startswith("transferlab") else name


def test_every_room_has_its_place() -> None:
    assert sorted(ROOMS) == sorted({room(module) for module in trees()})


def test_imports_point_down() -> None:
    wrong = [f"{a.source} imports {a.target}" for a in arrows()
             if a.ours and ROOMS.index(room(a.target)) > ROOMS.index(room(a.source))]  # fmt: skip
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Whole modules, also within a room, inside functions and for type checking."""
    left = {module: {a.target for a in arrows() if a.source == module and a.ours} - {module} for module in trees()}
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}, "these are in a circle, or above one"


def test_rooms_keep_to_what_they_are_to_know() -> None:
    wrong = [
        f"{a.source} imports {a.target}"
        for a in arrows()
        if a.ours
        and room(a.source) in KEEPS_TO
        and room(a.target) not in KEEPS_TO[room(a.source)] | EVERYBODYS | {room(a.source)}
    ]
    assert wrong == []


def test_reports_know_of_the_runners_only_where_packs_and_plans_are() -> None:
    assert {a.target for a in arrows() if room(a.source) == "report" and room(a.target) == "runners"} == {
        "runners.packs",
        "runners.plans",
    }


def test_heavy_packages_are_loaded_only_where_they_belong() -> None:
    plain = {*sys.stdlib_module_names, "numpy"}
    wrong = []
    for a in arrows():
        package = room(a.target)
        if a.ours or package in plain:
            continue
        allowed = NOW.get(package, set()) | (set() if a.now else LATER.get(package, set()))
        if not {room(a.source), a.source} & allowed:
            wrong.append(f"{a.source} imports {package} {'at import' if a.now else 'inside a function'}")
    assert wrong == []


def test_torch_is_loaded_by_these_modules_alone() -> None:
    """With all that they import, and their packages, as Python does."""
    now = {module: {a.target for a in arrows() if a.source == module and a.now} for module in trees()}

    def reached(module: str) -> set[str]:
        seen: set[str] = set()
        left = {module}
        while left:
            at = left.pop()
            seen.add(at)
            parents = {at.rpartition(".")[0]} & set(trees())
            left |= (now.get(at, set()) | parents) - seen
        return seen

    assert {module for module in trees() if "torch" in {room(m) for m in reached(module)}} == WITH_TORCH


# What would run code that was read: pickles, evaluated text, shells.
FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.hub.load", "yaml.load", "os.system",
                   "os.popen", "pickle.load", "pickle.loads", "np.fromfile"}  # fmt: skip


@pytest.mark.parametrize("module", trees())
def test_nothing_runs_what_it_reads(module: str) -> None:
    """One exception: CIFAR's own files are pickles, taken apart by an unpickler that finds stand-ins only."""
    cifar = module == "images.sources.tvarrays"
    used: set[str] = set()
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            used.add(node.attr)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        literal = all(isinstance(value, ast.Constant) for value in node.args)  # it stands in the code, and is not read
        assert called not in FORBIDDEN_CALLS or (called == "exec" and literal)
        assert given.get("allow_pickle", "False") == "False"
        assert given.get("weights_only", "True") == "True"
        assert given.get("shell", "False") == "False"
        if called in ("np.load", "np.save", "np.lib.format.write_array"):
            assert "allow_pickle" in given, f"{called} without allow_pickle=False"
    imported = {room(a.target) for a in arrows() if a.source == module}
    assert imported & FORBIDDEN_MODULES == ({"pickle"} if cifar else set())
    assert used == ({"Unpickler", "UnpicklingError"} if cifar else set())


def test_the_one_unpickler_finds_nothing_but_stand_ins() -> None:
    (unpickler,) = [node for node in ast.walk(trees()["images.sources.tvarrays"])
                    if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases)]  # fmt: skip
    (method,) = [node for node in unpickler.body if isinstance(node, ast.FunctionDef)]
    assert method.name == "find_class"
    (returned,) = [node for node in ast.walk(method) if isinstance(node, ast.Return)]
    assert ast.unparse(returned) == "return _STAND_INS[module, name]"
