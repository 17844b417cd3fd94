"""A source's classes against a target's: by WordNet where both stand in it, by name where they do not."""

from __future__ import annotations

from transferlab.taxonomy import classlists
from transferlab.taxonomy.matching import match
from transferlab.taxonomy.readers import from_folders
from transferlab.taxonomy.tree import build, flat


def test_pascals_class_names_take_its_229_classes_from_imagenet_whether_or_not_its_taxonomy_is_known() -> None:
    voc = flat(list(classlists.read("pascal-voc")))
    imagenet = classlists.taxonomy("imagenet-1k")
    for source in (imagenet, flat(imagenet.leaves)):
        found = match(source, voc)
        under = {leaf for leaves in found.classes.values() for leaf in leaves}
        assert len(under) == 229 and found.absent == ("cow",) and found.by_name == ()
        assert len(found.classes["dog"]) == 118 and len(found.classes["car"]) == 10
        # A railway car is called "car" too, and is none of PASCAL's.
        assert "n03895866" not in under


def test_cifar100s_classes_are_found_under_pascals() -> None:
    cifar = flat(list(classlists.read("cifar-100")))
    found = match(cifar, flat(list(classlists.read("pascal-voc"))))
    assert found.classes["person"] == ("baby", "boy", "girl", "man", "woman")
    assert len(found.classes["pottedplant"]) == 10 and found.classes["sofa"] == ("couch",)


def test_a_word_of_several_senses_is_compared_by_name() -> None:
    source = build(
        [("n02123045", "g"), ("b", "g"), ("g", "all")], ["n02123045", "b"], {"n02123045": "tabby, cat", "b": "Bat"}
    )
    found = match(source, flat(["bat", "cat", "goldfish"]))
    assert found.classes == {"bat": ("b",), "cat": ("n02123045",), "goldfish": ()}
    assert found.by_name == ("bat", "cat")


def test_names_reach_the_groups_above_a_class_but_not_the_root() -> None:
    source = from_folders(["made-up thing/x1", "made-up thing/x2", "other/x3"])
    found = match(source, flat(["Made-up thing", "made-up thing", "all"]))
    assert found.classes == {"Made-up thing": ("made-up thing/x1", "made-up thing/x2"),
                             "made-up thing": ("made-up thing/x1", "made-up thing/x2"), "all": ()}  # fmt: skip


def test_a_kind_is_under_its_genus_and_not_the_other_way_round() -> None:
    assert match(flat(["beagle", "zebra"]), flat(["canine.n.02", "n02083346"])).classes["n02083346"] == ("beagle",)
    assert match(flat(["n02083346", "zebra"]), flat(["beagle"])).classes["beagle"] == ()
