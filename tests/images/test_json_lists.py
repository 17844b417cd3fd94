"""Lists in JSON, entry by entry: the same as a parser that reads the whole file, and within its limits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.errors import UserError
from transferlab.images import json_lists
from transferlab.images.json_lists import Lists

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=10,
)


def read(path: Path) -> tuple[dict[str, list[Any]], Lists]:
    lists = Lists(path, "here")
    found: dict[str, list[Any]] = {}
    for name, number, value in lists.entries():
        assert number == len(found.setdefault(name, []))
        found[name].append(value)
    assert {name: len(of_list) for name, of_list in found.items()} == {k: n for k, n in lists.counts.items() if n}
    return found, lists


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_entry_is_what_a_parser_of_the_whole_file_gives(
    tmp_path_factory: pytest.TempPathFactory, held: dict[str, Any], indent: int | str | None, ascii_: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(f" {json.dumps(held, indent=indent, ensure_ascii=ascii_)}\n", encoding="utf-8", errors="replace")
    held = json.loads(path.read_text(encoding="utf-8"))
    found, lists = read(path)
    assert found == {name: value for name, value in held.items() if isinstance(value, list) and value}
    assert lists.others == [name for name, value in held.items() if not isinstance(value, list)]


def test_entries_across_the_ends_of_what_is_read_at_once_are_whole(tmp_path: Path) -> None:
    numbers = [k * 1.5e-7 if k % 3 else {"k": [k, "ä" * (k % 40)], "segmentation": [[k] * 9]} for k in range(150_000)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"numbers": numbers, "more": [-1.5e300]}, ensure_ascii=False), encoding="utf-8")
    assert path.stat().st_size > 3 * json_lists.CHUNK
    found, _ = read(path)
    assert found["more"] == [-1.5e300]
    assert found["numbers"] == [n if isinstance(n, float) else {"k": n["k"]} for n in numbers]  # without polygons


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON: Expecting value .at character 0"),
        ("{", "is not JSON: Expecting value .at character 1"),
        ('{"a": [1, 2', "is not JSON: it ends too early .at character 11"),
        ('{"a": [1 2]}', "is not JSON: '2' in place of ']' .at character 9"),
        ('{"a": [{"b": 1,}]}', "is not JSON: .*at character"),
        ('{"a": [1], "a": [2]}', "is not JSON: the key 'a' occurs twice"),
        ('{"a": [{"id": 1, "id": 2}]}', "is not JSON: the key 'id' occurs twice in one entry"),
        ("[1] [2]", "is not JSON: something after its end .at character 4"),
        ("{1: [2]}", "is not JSON: the key 1 is no text"),
        ('{"a": [' + "9" * 5000 + "]}", "is not JSON: Exceeds the limit"),
        ("[" * 100_000, "is not JSON: maximum recursion"),
        ('{"a":' * 100_000, "is not JSON: maximum recursion"),
        ("<html>", "is not JSON: Expecting value"),
        ("{" + ",".join(f'"{k}": 1' for k in range(1001)) + "}", "is not JSON: it has more than 1,000 keys"),
        ('{"a": ["' + "x" * 5_000_000 + '"]}', "is not JSON: .*an entry has more than 4,194,304 characters"),
    ],
)
def test_what_is_no_json_or_beyond_the_limits_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as told:
        read(path)
    assert len(str(told.value)) < 1000


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.json is not an ordinary file"):
        read(tmp_path / "a.json")
