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
import tokenize
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

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

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "transferlab"
TABLES: tuple[Table[Any], ...] = (PROTOCOLS, ORIGINS, METRICS, DESIGNS, BACKBONES, OPTIMISERS, SOURCES)
PACKAGE = Path(__file__).parent
STUDY = "study"  # the variable that holds a study file's study


def run_file(path: Path) -> dict[str, object]:
    """Run a study file, register its definitions, and return its variables by name. It can import modules beside it.

    Raises:
        UserError: the file fails (with the line), or a definition has the name of another one.
    """
    given, path = path, path.resolve()  # the file may change the folder
    if str(path.parent) not in sys.path:  # it stays there, because functions may import later
        sys.path.insert(0, str(path.parent))
    try:
        defined = runpy.run_path(str(path))
    except UserError:
        raise
    except SyntaxError as error:
        file = str(given) if error.filename in (None, str(path)) else error.filename
        where = file if error.lineno is None else f"{file}, line {error.lineno}"
        raise UserError(f"the study file is not valid Python: {error.msg}", where, "correct it") from error
    except (Exception, SystemExit) as error:
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
        where = f"{given}, line {lines[-1]}" if lines else str(given)
        raise UserError(f"the study file ends with {type(error).__name__}: {error}", where, "correct it") from error
    study = defined.get(STUDY)
    inside = [study.controls, study.metric] if isinstance(study, Study) else []
    _bring(_held(list(defined.values())), path.name, [path], inline=_held(inside))
    return defined


def _held(value: object) -> list[object]:
    """A value, or what lists, tuples and dictionaries hold, however deep."""
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    if not isinstance(value, (list, tuple)):
        return [value]
    return [each for one in cast("Sequence[object]", value) for each in _held(one)]


def load_installed(unusable: Callable[[UserError], None] | None = None) -> None:
    """Register the definitions of installed packages.

    Args:
        unusable: takes the error of a package that cannot be used, for commands that only read; None raises it.

    Raises:
        UserError: a package does not load, or provides no definition or no source.
    """
    from importlib.metadata import entry_points  # takes longer than the rest of --help

    for entry in entry_points(group=GROUP):
        try:
            _load(entry)
        except UserError as error:
            if unusable is None:
                raise
            unusable(error)


def _load(entry: EntryPoint) -> None:
    place = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    try:
        offered = entry.load()
    except (Exception, SystemExit) as error:  # a package by another author may raise anything
        raise UserError(
            f"the installed extension {entry.name} does not load: {error}", place, "update or remove it"
        ) from error
    values = list(vars(offered).values()) if isinstance(offered, ModuleType) else offered
    found = cast("Sequence[object]", values if isinstance(values, (list, tuple)) else [values])
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


def _bring(values: Sequence[object], place: str, files: Sequence[Path], *, inline: Sequence[object] = ()) -> None:
    """Add the values that are definitions from outside to their tables.

    Args:
        inline: those that are written inside the file's study, whose text then counts as their code.

    Raises:
        UserError: two of one kind share a name; otherwise as ``Table.bring``.
    """
    names: set[tuple[str, str]] = set()
    for value in {id(value): value for value in (*values, *inline)}.values():
        if isinstance(value, Definition) and not any(value is held for table in ALL for held in table.values()):
            table = next((table for table in TABLES if isinstance(value, table.type)), None)
            if table is None:
                raise UserError(f"{type(value).__name__} {value.name!r} cannot come from outside", place, "remove it")
            held = {*files, *_files_of(value)}
            within = not any(value is one for one in values) and any(value is one for one in inline)
            table.bring(value, Brought(place, code_of(value, held, inline=within), frozenset(map(str, held))))
            if (table.kind, value.name) in names:
                raise UserError(f"two {table.kind}s are called {value.name!r}", place, "choose another name")
            names.add((table.kind, value.name))


def code_of(definition: Definition, files: Collection[Path], *, inline: bool = False) -> str:
    """Digest of a definition's code: its version and the source of the files that define it.

    Comments, layout and the file's study do not count, so that adding a level to a study repeats no work; the study counts
    if the definition is written inside it. Imported modules do not count; ``version`` is for changes in them.
    """
    return digest("code", definition.version, sorted(_text(file, with_study=inline) for file in files))


def fault_of(error: BaseException) -> UserError | None:
    """The error as a fault of code from outside the package, with its line; None if none of that code was running."""
    lines = [(file, line) for file, line in _trace(error) if file in _files()]
    if not lines:
        return None
    what = " ".join(str(error).split())[:200]
    return UserError(f"the definition ends with {type(error).__name__}{f': {what}' if what else ''}",
                     f"{lines[-1][0]}, line {lines[-1][1]}", "correct it")  # fmt: skip


def raised_outside(error: BaseException) -> bool:
    """Whether code from outside the package raised an error itself, rather than something that it called."""
    return any(file in _files() for file, _ in _trace(error)[-1:])


def _trace(error: BaseException) -> list[tuple[str, int | None]]:
    return [(at.filename, at.lineno) for at in traceback.extract_tb(error.__traceback__)]


def _files() -> set[str]:
    """The files of all definitions from outside."""
    return {file for table in TABLES for name in table if (held := table.brought(name)) for file in held.files}


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


def _text(path: Path, *, with_study: bool) -> str:
    with tokenize.open(path) as file:  # by the encoding that the file declares
        tree = ast.parse(file.read())
    tree.body = [node for node in tree.body if with_study or not _is_study(node)]
    return ast.unparse(tree)


def _is_study(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [ast.unparse(target) for target in targets] == [STUDY]
