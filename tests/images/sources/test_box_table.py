from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from transferlab.errors import UserError
from transferlab.images.sources.box_table import MAX_BYTES, read_tables

HEAD = "key,x0,y0,x1,y1\n"


def test_tables_are_joined_and_headers_may_have_blanks_and_capitals(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffKey, X0 ,Y0,x1,y1\na,0,1,2,3\n", encoding="utf-8")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(f"{HEAD}b,4,5,6,7\n".encode()))
    assert read_tables(f"{tmp_path}/a.csv,{tmp_path}/b.csv.gz", "here") == {"a": (0, 1, 2, 3), "b": (4, 5, 6, 7)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}a,0,1,2,3\na,0,1,2,3\n", "line 3 of .*a.csv gives a a second box"),
        (f"{HEAD}a,0.1,0.2,0.5,0.5\n", "line 2 of .*a.csv is 'a,0.1,0.2,0.5,0.5'"),
        (f"{HEAD}a,0,1,2,{'9' * 5000}\n", "line 2 of .*a.csv is 'a,0,1,2,999"),
        (f"{HEAD}a,0,1,2,9999999\n", "line 2 of .*a.csv is"),
        (f"{HEAD}a,0,1,2,3,4\n", "line 2 of .*a.csv is 'a,0,1,2,3,4'"),
        (f'{HEAD}"a,0,1,2,3\n', "a.csv cannot be read: unexpected end of data"),
        (f"{HEAD}{'x' * 200_000},0,1,2,3\n", "a.csv cannot be read: field larger"),
        ("key;x0;y0;x1;y1\n", "a.csv has the columns key;x0;y0;x1;y1"),
        (gzip.compress(bytes(MAX_BYTES + 1)), "a.csv cannot be read: unpacked it has more than"),
        (gzip.compress(HEAD.encode())[:-9], "a.csv cannot be read"),
    ],
    ids=range(10),  # not the contents: gzip writes the time, and some are long
)
def test_a_table_that_cannot_be_used_is_one_sentence(content: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=message) as told:
        read_tables(str(tmp_path / "a.csv"), "here")
    assert len(str(told.value)) < 600


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="this is a pipe, a device .*pipe.: name a file"):
        read_tables(f"{tmp_path}/pipe", "here")
