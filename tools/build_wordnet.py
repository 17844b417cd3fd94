"""Make the table of WordNet's nouns that the package ships, from the files data.noun and index.noun of WordNet 3.0.

    python tools/build_wordnet.py /usr/share/wordnet src/transferlab/taxonomy/wordnet.table

Debian's package wordnet-base has both files. Running it again gives the same bytes (with the same zlib). The layout is
told in src/transferlab/taxonomy/wordnet.py, which reads it.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np

N_SYNSETS = 82_115  # of WordNet 3.0; another version has other offsets, and so other wnids
FIRST_LINE = b"transferlab WordNet 3.0 nouns\n"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    made = table(columns(folder))
    out.write_bytes(made)
    print(f"{out}: {len(made):,} bytes")


def columns(folder: Path) -> dict[str, bytes]:
    """The table's columns, uncompressed, in file order of data.noun."""
    senses = sense_numbers(folder / "index.noun")
    offsets: list[int] = []
    words: list[list[str]] = []
    parents: list[list[int]] = []
    for line in _lines(folder / "data.noun"):
        offset, ours, above = _synset(line)
        offsets.append(offset)
        words.append(ours)
        parents.append(above)
    if len(offsets) != N_SYNSETS:
        sys.exit(f"{folder / 'data.noun'} has {len(offsets):,} synsets; WordNet 3.0 has {N_SYNSETS:,} nouns")
    row = {offset: i for i, offset in enumerate(offsets)}
    names = [f"{w[0].lower()}.n.{senses[w[0].lower(), o]:02d}" for o, w in zip(offsets, words, strict=True)]
    ordered = [
        sorted((row[o] for o in above), key=lambda r: names[r]) for above in parents
    ]  # rule 3 of taxonomy/tree.py, names in full
    return {
        "offsets": _planes(np.array(offsets), step=True),
        "n_parents": bytes(len(above) for above in ordered),
        "parents": _planes(np.array([r for above in ordered for r in above]), step=False),
        "senses": bytes(senses[w.lower(), o] for o, ws in zip(offsets, words, strict=True) for w in ws),
        "words": "\n".join(",".join(ws) for ws in words).encode(),
    }


def table(held: dict[str, bytes]) -> bytes:
    """A first line, a line of JSON with each column's name and compressed size, and the columns."""
    packed = {name: zlib.compress(column, 9) for name, column in held.items()}
    sizes = json.dumps([[name, len(column)] for name, column in packed.items()]).encode()
    return FIRST_LINE + sizes + b"\n" + b"".join(packed.values())


def sense_numbers(index: Path) -> dict[tuple[str, int], int]:
    """The number of each sense of each lemma (in lower case): its place in the lemma's line of index.noun."""
    found: dict[tuple[str, int], int] = {}
    for line in _lines(index):
        cells = line.split()
        n_senses = int(cells[2])
        found |= {(cells[0], int(offset)): i for i, offset in enumerate(cells[-n_senses:], 1)}
    return found


def _synset(line: str) -> tuple[int, list[str], list[int]]:
    """Offset, words, and the offsets that pointers ``@`` lead to; instance pointers ``@i`` do not count."""
    cells = line.split()
    n_words = int(cells[3], 16)
    at = 4 + 2 * n_words
    pointers = [cells[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(cells[at]))]
    return (
        int(cells[0]),
        cells[4:at:2],
        [int(offset) for kind, offset, part, _ in pointers if (kind, part) == ("@", "n")],
    )


def _lines(file: Path) -> list[str]:
    """All lines but those of the licence, which begin with blanks."""
    if not file.is_file():
        sys.exit(f"there is no {file}; Debian's package wordnet-base has it in /usr/share/wordnet")
    return [line for line in file.read_text(encoding="ascii").splitlines() if not line.startswith(" ")]


def _planes(numbers: np.ndarray, *, step: bool) -> bytes:
    """Four bytes a number, all lowest bytes first; ``step`` keeps the steps between ascending ones (89 for 113 kB)."""
    kept = np.diff(numbers, prepend=0) if step else numbers
    return np.ascontiguousarray(kept.astype("<u4").view(np.uint8).reshape(-1, 4).T).tobytes()


if __name__ == "__main__":
    main()
