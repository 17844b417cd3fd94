"""Commands that work on images without a study or a store: pack, sheet, taxonomy, score-detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from transferlab.console import Display, say
from transferlab.text import number_of, printable

SHOWN = 5  # images that cannot be used, by name


def show(text: str) -> None:
    """Print text on standard output, with control characters replaced."""
    click.echo("\n".join(printable(line) for line in text.split("\n")))


@click.command()
@click.argument("spec")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--size", type=int, required=True, help="Side of the packed images in pixels; with boxes, the longer side."
)
@click.option("--skip-bad", is_flag=True, help="Skip and count images and boxes that cannot be used.")
def pack(spec: str, out: Path, size: int, skip_bad: bool) -> None:
    """Decode labelled images once into OUT, which then opens immediately. If interrupted, the same command resumes.

    \b
    Examples:
      transferlab pack imagefolder:photos photos.pack --size 64
      transferlab pack 'voc:VOCdevkit?year=2012&task=action' actions.pack --size 128
      transferlab pack 'voc:VOCdevkit?year=2007&task=detection' boxes.pack --size 500
    """
    from transferlab.extensions import load_installed
    from transferlab.images.pack import remarks, write_pack
    from transferlab.images.spec import open_source, parse_spec
    from transferlab.specs import SPLITS
    from transferlab.validate import check_size

    load_installed()
    check_size(size)
    with Display() as display:
        made = write_pack(
            open_source(parse_spec(spec)), out, size, skip_bad=skip_bad,
            progress=lambda done, total: display.packing(spec, done, total),
        )  # fmt: skip
    counts = ", ".join(f"{int((made.split == i).sum()):,} {name}" for i, name in enumerate(SPLITS))
    boxes = "" if made.boxes is None else f" with {number_of(len(made.boxes.labels), 'box', 'boxes')}"
    show(
        f"{out}: {number_of(len(made.labels), 'image')}{boxes} ({counts}), {number_of(len(made.taxonomy.leaves), 'class', 'classes')}, {size} px"
    )
    click.echo(f"digest {made.digest}")
    for remark in remarks(made):
        show(remark)


@click.command()
@click.argument("spec")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The PNG file to write.")
def sheet(spec: str, out: Path) -> None:
    """Draw a contact sheet with a few images of each class.

    \b
    Example:
      transferlab sheet toy --out toy.png
    """
    from transferlab.extensions import load_installed
    from transferlab.images.sheet import write_sheet

    load_installed()
    unusable: list[str] = []
    write_sheet(spec, out, unusable.append)
    for sentence in unusable[:SHOWN]:
        say(sentence)
    if len(unusable) > SHOWN:
        say(f"not on the sheet: {len(unusable) - SHOWN:,} more")
    show(str(out))


@click.command()
@click.argument("spec")
@click.option("--cut", type=int, metavar="D", help="Labels at depth D of the taxonomy.")
@click.option("--merge-up", type=int, metavar="N", help="Labels after N merge passes.")
@click.option("--balanced", type=int, metavar="N", help="N labels of similar size.")
@click.option("--under", metavar="ID[,ID…]", help="The classes under these nodes.")
@click.option("--tree", metavar="NODE", help="Draw the taxonomy under a node ('' is the root); needs no label set.")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def taxonomy(spec: str, form: Literal["text", "json", "csv"], **asked: Any) -> None:
    """Show the label sets of a source's taxonomy.

    SPEC may also be imagenet-1k, tiny-imagenet, cifar-100 or pascal-voc, whose classes are in WordNet. Their nodes are
    named by a wnid, a synset, a noun with one sense, or one of these lists.

    \b
    Examples:
      transferlab taxonomy toy --cut 1 --format json
      transferlab taxonomy imagenet-1k --cut 6 --tree animal.n.01
      transferlab taxonomy imagenet-1k --under pascal-voc
    """
    from transferlab.extensions import load_installed
    from transferlab.images.spec import taxonomy_of
    from transferlab.taxonomy.show import Asked
    from transferlab.taxonomy.show import show as text_of

    load_installed()
    shown = text_of(taxonomy_of(spec), form, Asked(**asked))
    click.echo(shown, nl=False)
    if not shown:
        say(f"no class lies under {asked['under']}")


@click.command("score-detections")
@click.option(
    "--ground-truth", "truth", required=True, type=click.Path(path_type=Path),
    help="A folder in VOC's layout (Annotations, and ImageSets/Main/test.txt if any), or a JSON file in COCO's format.",
)  # fmt: skip
@click.option(
    "--detections", required=True, type=click.Path(path_type=Path),
    help="Results in COCO's JSON, or files comp?_det_<set>_<class>.txt: one of them, or their folder.",
)  # fmt: skip
@click.option("--metric", type=click.Choice(["voc07", "voc10", "coco"]), required=True)
@click.option("--iou", type=float, default=0.5, show_default=True, help="Minimum overlap of a hit, for VOC's metrics.")
@click.option("--format", "form", type=click.Choice(["json", "text"]), default="text", show_default=True)
def score_detections(
    truth: Path, detections: Path, metric: Literal["voc07", "voc10", "coco"], iou: float, form: Literal["json", "text"]
) -> None:
    """Score a detector's output: average precision by the rules of PASCAL VOC 2007, VOC 2010 and later, or COCO.

    \b
    Examples:
      transferlab score-detections --ground-truth VOC2007 --detections results/Main --metric voc07
      transferlab score-detections --ground-truth val.json --detections results.json --metric coco
    """
    from transferlab.runners.score import as_json, as_text, score

    scored = score(truth, detections, metric, iou)
    for remark in scored.remarks:
        say(remark)
    show(as_json(scored) if form == "json" else as_text(scored))


COMMANDS = (pack, sheet, taxonomy, score_detections)
