"""Stored and hashed nouns: each has a tag of its own, which names it whatever its class is called."""

from __future__ import annotations

import dataclasses

import pytest

from transferlab import UserError
from transferlab.identity import canonical, plain
from transferlab.planned import _STORED, BroughtDefinition, restored
from transferlab.specs import Contrast, Examples

TAGS = {
    "Design", "Examples", "Epochs", "UntilFlat", "Augmentation", "Recipe", "Protocol", "PretrainCell", "TransferCell", "Contrast",
    "TargetFacts", "SourceFacts", "Training", "RandomNetwork", "Transfer", "NamedCondition", "PlannedProtocol", "BroughtDefinition",
    "Plan",
}  # fmt: skip


def test_tags_are_pinned_since_keys_are_made_from_them() -> None:
    assert set(_STORED) == TAGS


def test_renaming_a_class_changes_no_key() -> None:
    renamed = dataclasses.make_dataclass("Length", ["n"], namespace={"TAG": "Examples"}, frozen=True)
    assert canonical(renamed(5)) == canonical(Examples(5)) == '{"n":5,"type":"Examples"}'


def test_a_class_without_a_tag_is_neither_hashed_nor_stored() -> None:
    untagged = dataclasses.make_dataclass("Untagged", ["n"])
    inherited = type("Inherited", (Examples,), {})
    for value in (untagged(1), inherited(1)):
        with pytest.raises(TypeError, match="has no TAG"):
            plain(value)


def test_nouns_survive_their_json_and_unknown_ones_are_refused_with_what_to_do() -> None:
    for noun in (Contrast("a", {"x": 1.0, "y": -1.0}), BroughtDefinition("protocol", "means", "my.py", "c0de")):
        assert restored(plain(noun)) == noun
    with pytest.raises(UserError, match="another version"):
        restored({"type": "Gone", "n": 1})
