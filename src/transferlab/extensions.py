"""Loads definitions from outside the package: those of a study file and those of installed packages.

The command and each worker run a study file once. A store holds no code, so reading one runs none. Installed packages
provide definitions through the entry-point group ``transferlab``: an entry names a definition, a list of definitions, or
a module that contains them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import runpy
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from transferlab.definitions import ALL, Brought, Definition, Table
from transferlab.designs import DESIGNS
from transferlab.engine.backbones import BACKBONES
from transferlab.engine.optimisers import OPTIMISERS
from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.sources import SOURCES
from transferlab.origins import ORIGINS
from transferlab.planned import BroughtDefinition
from transferlab.specs import Study
from transferlab.transfer.metrics import METRICS
from transferlab.transfer.protocols import PROTOCOLS

GROUP = "transferlab"
TABLES: tuple[Table[Any], ...] = (PROTOCOLS, ORIGINS, METRICS, DESIGNS, BACKBONES, OPTIMISERS, SOURCES)
PACKAGE = Path(__file__).parent
STUDY = "study"  # the variable that holds a study file's study


def run_file(path: Path) -> dict[str, object]:
    """Run a study file, register its definitions, and return its variables by name. It can import modules beside it.

    Raises:
        UserError: the file fails (with the line), or a definition has the name of another one.
    """
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # it stays there, because functions may import later
        sys.path.insert(0, folder)
    try:
        defined = runpy.run_path(str(path))
    except UserError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise UserError(f"the study file is not valid Python: {error.msg}", where, "correct it") from error
    except (Exception, SystemExit) as error:
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise UserError(f"the study file ends with {type(error).__name__}: {error}", where, "correct it") from error
    study = defined.get(STUDY)
    inline = [*study.controls, study.metric] if isinstance(study, Study) else []
    _bring([*defined.values(), *inline], path.name, [path])
    return defined


def load_installed() -> None:
    """Register the definitions of installed packages.

    Raises:
        UserError: a package does not load, or provides no definition or no source.
    """
    from importlib.metadata import entry_points  # takes longer than the rest of --help

    for entry in entry_points(group=GROUP):
        place = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        try:
            offered = entry.load()
        except Exception as error:  # a package by another author may raise anything
            raise UserError(
                f"the installed extension {entry.name} does not load: {error}", place, "update or remove it"
            ) from error
        values = vars(offered).values() if isinstance(offered, ModuleType) else offered
        found = [values] if isinstance(values, Definition) else list(cast("Iterable[object]", values))
        if not any(isinstance(each, Definition) for each in found):
            raise UserError(f"the installed extension {entry.name} holds no definition", place, "update or remove it")
        module = getattr(sys.modules[entry.module], "__file__", None)
        if module is None or not Path(module).is_file():  # its digest would be missing from keys
            raise UserError(f"the installed extension {entry.name} has no source file", place, "install its source")
        _bring(found, place, [Path(module)])


def require_definitions(needed: Sequence[BroughtDefinition]) -> None:
    """Raise UserError if one of the definitions that a plan takes from outside is missing or has changed."""
    for each in needed:
        brought = next(table for table in TABLES if table.kind == each.kind).brought(each.name)
        if brought is None or brought.code != each.code:
            what = "is missing" if brought is None else "has changed since the study was planned"
            raise UserError(f"the {each.kind} {each.name} {what}", each.place, "run the study's command again")


def _bring(values: Iterable[object], place: str, files: Sequence[Path]) -> None:
    """Add the values that are definitions from outside to their tables."""
    for value in {id(value): value for value in values}.values():
        if isinstance(value, Definition) and not any(value is held for table in ALL for held in table.values()):
            table = next((table for table in TABLES if isinstance(value, table.type)), None)
            if table is None:
                raise UserError(f"{type(value).__name__} {value.name!r} cannot come from outside", place, "remove it")
            table.bring(value, Brought(place, code_of(value, files)))


def code_of(definition: Definition, files: Sequence[Path]) -> str:
    """Digest of a definition's code: its version and the source of the files that define it.

    Comments, layout and the file's study do not count, so that adding a level to a study repeats no work. Imported modules
    do not count either; ``version`` is for changes in them.
    """
    held = {*files, *_files_of(definition)}
    return digest("code", definition.version, sorted(_text(path) for path in held))


def _files_of(definition: Definition) -> Iterator[Path]:
    """The files outside the package that define a definition's functions and classes."""
    for field in fields(definition):
        path = _file_of(getattr(definition, field.name))
        if path is not None and path.is_file() and PACKAGE not in path.resolve().parents:
            yield path


def _file_of(value: object) -> Path | None:
    """The file that a function, method, class or callable object is written in; None for whatever is none of these."""
    while isinstance(value, functools.partial):
        value = cast("functools.partial[object]", value).func
    if inspect.isfunction(value) or inspect.ismethod(value):
        return Path(inspect.unwrap(value).__code__.co_filename)
    if not callable(value):
        return None
    module = sys.modules.get((value if inspect.isclass(value) else type(value)).__module__)
    file = inspect.getsourcefile(module) if module is not None and "__file__" in vars(module) else None
    return None if file is None else Path(file)


def _text(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not _is_study(node)]
    return ast.unparse(tree)


def _is_study(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [ast.unparse(target) for target in targets] == [STUDY]
