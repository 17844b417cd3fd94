"""The command line: commands, options and examples. Commands import what they need inside, so that --help is fast."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from transferlab.cli_images import COMMANDS, show
from transferlab.console import Display, duration, say
from transferlab.endings import DONE, SOME_FAILED, flushed, hold_standard_files, invoked
from transferlab.engine.backbones import BACKBONES
from transferlab.errors import ImpossibleQuestion, UserError
from transferlab.text import number_of

if TYPE_CHECKING:
    from transferlab.runners.prepare import Request

Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> None:
    """Run one command and exit: 0 done, 1 some cells failed, 2 user error, 130 stopped."""
    hold_standard_files()
    sys.exit(flushed(invoked(app)))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="transferlab")
def app() -> None:
    """What makes a data set good for transfer learning? Experiments on your own labelled images.

    \b
    Examples:
      transferlab demo
      transferlab run images-per-class --source imagefolder:photos --target imagefolder:my-task
      transferlab report lab --out report.html

    A SPEC names images: toy, digits, pack:DIR, or FORMAT:PATH[?key=value&...] with the formats imagefolder, wds,
    csv, npz, torchvision and hf, or the published layout of a data set: imagenet, tiny-imagenet, voc, coco, sun397,
    places365, cifar100, omniglot and inaturalist (docs/data-sets.md).
    """


for each in COMMANDS:
    app.add_command(each)


PATH = click.Path(path_type=Path)
STORE = click.option("--store", default="lab", show_default=True, type=PATH, help="Folder for results.")


def _once(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    """The only value of an option; click by itself would silently take the last of several."""
    if len(given) > 1:
        raise UserError(f"--{parameter.name} is given {len(given)} times", "the command",
                        "give it once; a study file can list several protocols")  # fmt: skip
    return given[0] if given else None


RUN_OPTIONS = (
    click.option("--source", metavar="SPEC", help="Images to pre-train on."),
    click.option("--target", "targets", metavar="SPEC", multiple=True, help="Images to transfer to; repeatable."),
    click.option("--seeds", type=int, help="Independent repetitions of every condition; intervals need at least 3."),
    click.option("--size", type=int, help="Side of the images in pixels (32)."),
    click.option("--backbone", help=f"For example {', '.join(d.example for d in BACKBONES.values())}."),
    click.option("--recipe", help="quick, small, long, adamw, alexnet, resnet-short, …; see docs/tutorial.md."),
    click.option("--examples", type=int, metavar="N", help="Examples that each network sees in pre-training."),
    click.option(
        "--protocol",
        metavar="NAME",
        multiple=True,
        callback=_once,
        help="How to measure transfer: probe (the default), probe:folds=5, knn, finetune.",
    ),
    click.option(
        "--control", "controls", metavar="NAME", multiple=True, help="A further control, e.g. recipe; repeatable."
    ),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
    click.option("--skip-bad", is_flag=True, help="Skip and count images that cannot be read."),
    STORE,
)
STUDY_OPTIONS = (
    click.argument("study"),
    click.option("--paper", is_flag=True, help="A built-in study at the paper's levels (or shares of the source)."),
    click.option("--epochs", is_flag=True, help="Equal passes over each subset, instead of equal examples seen."),
    click.option(
        "--budget", metavar="TIME", help="Time that may be used: 90s, 30min, 1h30min; what does not fit is given up."
    ),
    *RUN_OPTIONS,
)


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """A decorator that adds options, listed by --help in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@app.command()
@click.option("--store", default="demo-lab", show_default=True, type=PATH, help="Folder for results.")
@click.option("--out", type=PATH, help="The report's file (STORE/report.html).")
def demo(store: Path, out: Path | None) -> None:
    """Answer three questions on the toy world, from pixels to report, in minutes; without bf16 it takes much longer.

    \b
    Example:
      transferlab demo --store demo-lab
    """
    from transferlab.report.page import check_out
    from transferlab.runners.demo import STUDIES
    from transferlab.runners.prepare import Request

    if out is not None:
        check_out(out)
    out = out or store / "report.html"
    command = shlex.join(["transferlab", "demo", "--store", str(store)])
    done = [_run(Request(study, None, (), store), command) for study in STUDIES]
    code = _report(store, out, "html")
    for study, (_, lines) in zip(STUDIES, done, strict=True):
        click.echo(f"\n{study.question}")
        show("\n".join(lines))
    show(f"\nReport: {out}")
    sys.exit(max(code, *(each for each, _ in done)))


@app.command()
@click.option("--source", metavar="SPEC", required=True, help="Images to pre-train on.")
@click.option(
    "--target", "targets", metavar="SPEC", multiple=True, required=True, help="Images to search for; repeatable."
)
@click.option("--size", type=int, default=32, show_default=True, help="Side of the images in pixels.")
@click.option("--out", type=PATH, help="A PNG file for a picture of the pairs.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@STORE
def leakage(
    source: str, targets: tuple[str, ...], size: int, out: Path | None, form: Literal["text", "json"], store: Path
) -> None:
    """Search the source for exact and near copies of a target's images. Reports of STORE show what is found.

    \b
    Example:
      transferlab leakage --source toy --target "toy?task=unseen" --out pairs.png
    """
    import json

    from transferlab.answers.sentences import leakage_in_words
    from transferlab.extensions import load_installed
    from transferlab.outcomes.store import Store
    from transferlab.runners.leakage import audit, check, draw, pairs

    load_installed()
    check((source, *targets), size, out)
    with Display() as display:
        opened = Store.open(store, create=True)
        audits = audit(opened, source, targets, size, display.packing, display.comparing)
    if out is not None:
        draw(audits, out)
    if form == "json":
        click.echo(json.dumps(pairs(audits), indent=1))
        return
    show("\n".join(line for each in audits for line in leakage_in_words(each.found)))
    if out is not None:
        show(str(out))


@app.command()
@_with(*STUDY_OPTIONS)
def plan(study: str, **options: Any) -> None:
    """Show what a study would train and transfer, what is done already, and how long the rest takes.

    \b
    Example:
      transferlab plan images-per-class --source toy --target "toy?task=unseen"
    """
    from transferlab.runners.estimate import describe
    from transferlab.runners.prepare import prepare

    with Display() as display:
        prepared = prepare(_requested(study, options), display.packing)
    for line in describe(prepared):
        show(line)


@app.command()
@_with(*STUDY_OPTIONS)
def run(study: str, **options: Any) -> None:
    """Run a study: a built-in question or a Python file. Only missing cells are computed; Ctrl-C loses nothing.

    \b
    Built-in: images-per-class, class-count, coarse-to-fine, coarse-vs-fine,
    classes-vs-images, exclude-target, more-data.

    \b
    Examples:
      transferlab run images-per-class --source imagefolder:photos --target imagefolder:my-task
      transferlab run my_study.py
    """
    code, lines = _run(_requested(study, options), shlex.join(["transferlab", *sys.argv[1:]]))
    show("\n".join(lines))
    say(f"figures and tables: transferlab report {shlex.quote(str(options['store']))} --out report.html")
    sys.exit(code)


@app.command()
@_with(*RUN_OPTIONS)
@click.option("--out", type=PATH, help="The report's file (STORE/paper.html).")
def paper(out: Path | None, **options: Any) -> None:
    """Run all seven questions of Huh et al. (2016) at the paper's levels, and compare its findings with yours.

    On ImageNet the levels are the paper's, on other sources the same shares of images and classes. Networks that several
    questions share are trained once. Where conditions differ in their number of images, a second run compares them at
    equal passes over each subset, to separate the effect of more data from that of more training.

    \b
    Example:
      transferlab paper --source toy --target "toy?task=unseen" --target digits --seeds 3
    """
    from transferlab.answers.published import PREFIX
    from transferlab.outcomes.store import Store
    from transferlab.questions import QUESTIONS, findings
    from transferlab.report.gather import all_answers
    from transferlab.report.page import check_out
    from transferlab.runners.prepare import Request

    store: Path = options["store"]
    out = out or store / "paper.html"
    if out.parent != store:
        check_out(out)
    command = shlex.join(["transferlab", *sys.argv[1:]])
    runs = [(q.name, epochs) for epochs in (False, True) for q in QUESTIONS.values() if q.at_epochs or not epochs]
    codes: list[int] = []
    left_out: list[str] = []
    for name, epochs in runs:
        try:
            codes.append(_run(Request(name, paper=True, epochs=epochs, **options), command)[0])
        except ImpossibleQuestion as reason:
            left_out.append(f"{name} cannot be asked of these images: {reason}")
            say(left_out[-1])
    answered = [a for a in all_answers(Store.open(store, create=False)) if a.name.startswith(PREFIX)]
    for found in findings(answered):
        show(f"{found.name}: {found.says}. {found.claim}\n  the paper  {found.published}\n  here       {found.here}")
    codes.append(_report(store, out, "html"))
    show("\n".join(["", *left_out, f"Report: {out}"]))
    sys.exit(max(codes, default=DONE))


@app.command()
@STORE
def status(store: Path) -> None:
    """Show for each study of a store which cells are done, missing or failed.

    \b
    Example:
      transferlab status --store lab
    """
    from transferlab.outcomes.store import Store
    from transferlab.runners.estimate import status_text

    show(status_text(Store.open(store, create=False)))


@app.command()
@STORE
def verify(store: Path) -> None:
    """Check every file of a store against its hash; the next run repeats damaged cells, which are set aside.

    \b
    Example:
      transferlab verify --store lab
    """
    from transferlab.outcomes.store import Store
    from transferlab.outcomes.verify import quarantine
    from transferlab.outcomes.verify import verify as verify_store
    from transferlab.runners import packs, plans

    opened = Store.open(store, create=False)
    problems = [*verify_store(opened), *plans.problems(opened), *packs.problems(opened)]
    for problem in problems:
        if problem.unread:
            show(f"{problem.path}: {problem.what}. It is left where it is, because it may be whole")
            continue
        show(f"{problem.path}: {problem.what}. It is set aside, and the command that made it makes it again")
        quarantine(opened, problem)
    click.echo(number_of(len(problems), "problem") if problems else "everything in the store is as it was written")
    sys.exit(SOME_FAILED if problems else DONE)


@app.command()
@STORE
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json", "parquet"]), default="text", show_default=True
)
@click.option("--out", type=PATH, help="A file instead of standard output.")
@click.option("--study", help="Only the studies of this name or identity, or 6 or more first letters of one.")
def table(store: Path, form: Literal["text", "csv", "json", "parquet"], out: Path | None, study: str | None) -> None:
    """Print one row per cell and metric.

    \b
    Example:
      transferlab table --store lab --format csv --out results.csv
    """
    from transferlab.outcomes.store import Store
    from transferlab.outcomes.table import write_rows
    from transferlab.report.gather import table_rows

    write_rows(table_rows(Store.open(store, create=False), study), form, out)


@app.command()
@click.argument("store", type=PATH)
@click.option("--out", type=PATH, required=True, help="The report's file.")
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), default="html", show_default=True)
@click.option("--study", help="Only the studies of this name or identity, or 6 or more first letters of one.")
def report(store: Path, out: Path, form: Literal["html", "md", "json"], study: str | None) -> None:
    """Write a self-contained report that answers each study of STORE in a sentence with an interval.

    \b
    Example:
      transferlab report lab --out report.html
    """
    code = _report(store, out, form, study)
    show(str(out))
    sys.exit(code)


def _requested(study: str, options: dict[str, Any]) -> Request:
    from transferlab.runners.prepare import Request

    if options["epochs"] and options["examples"] is not None:
        raise UserError("--epochs sets equal passes and --examples equal examples, which contradict each other",
                        "the command", "leave one of them out")  # fmt: skip
    return Request(study=study, **options)


def _run(request: Request, command: str) -> tuple[int, list[str]]:
    """Run a study; returns the exit code and the answer."""
    from transferlab.report.gather import DAMAGED, answers, headline
    from transferlab.runners import drive
    from transferlab.runners.machine import here, require_device
    from transferlab.runners.prepare import prepare

    require_device(here(request.device))
    with Display() as display:
        prepared = prepare(request, display.packing, display.seconds)
        todo = drive.missing(prepared.plan, prepared.store)
        say(f"{prepared.plan.name}: {number_of(len(todo), 'cell') + ' to do' if todo else 'nothing left to do'}")
        for note in prepared.plan.notes if prepared.budget is not None else ():
            say(note)
        prepared.store.write_note(prepared.plan.identity, {"command": command})
        try:
            progress = display.running(len(todo))
            left = drive.run(prepared.plan, prepared.store, prepared.machine, progress, study_file=prepared.study_file)
        except drive.Stopped:
            raise KeyboardInterrupt from None
    for key, reason in drive.failures(prepared.plan, prepared.store):
        say(f"failed: {key}: {reason}")
    say(f"took {duration(display.seconds())}")
    found = answers(prepared.store, prepared.plan.identity)
    if n_damaged := sum(m.reason == DAMAGED for m in found.missing):
        damaged = number_of(n_damaged, "cell is", "cells are")
        say(f"{damaged} damaged: run transferlab verify --store {request.store}, then this command again")
    return SOME_FAILED if left or n_damaged else DONE, headline(found)


def _report(store: Path, out: Path, form: Literal["html", "md", "json"], study: str | None = None) -> int:
    """Write a report; returns the exit code."""
    from transferlab.extensions import load_installed
    from transferlab.outcomes.store import Store
    from transferlab.report.gather import gathered
    from transferlab.report.page import check_out, render

    check_out(out)
    load_installed(lambda error: say(f"left out: {error}"))
    answered, not_run = gathered(Store.open(store, create=False), study)
    whole = render(answered, out, form, not_run=not_run)
    return DONE if whole else SOME_FAILED
