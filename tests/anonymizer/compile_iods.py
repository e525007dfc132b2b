"""Compile the table of IODs from the data of highdicom: `python -m tests.anonymizer.compile_iods`.

highdicom carries PS3.3 as JSON of 23 MB: modules of an IOD, attributes of a module by path. The
anonymizer needs VR and Type of each attribute where it may stand, for every SOP class, and reads
them from `anonymizer/profile/iods.json`, which only this script writes.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword

TABLE = Path(__file__).parents[2] / "anonymizer" / "profile" / "iods.json"
DICOMDIR = "basic-directory"
"""A DICOMDIR is made anew, never passed on (PS3.15 E.1.1)."""

_STRICTEST_FIRST = ("1", "1C", "2", "2C", "3")
_CONTENT_SEQUENCE = 0x0040A730


@dataclass
class Node:
    """One attribute while it is compiled: what every module says of it, and what is inside."""

    vr: str = ""
    types: set[str] = field(default_factory=set)
    inside: "dict[int, Node]" = field(default_factory=lambda: defaultdict(Node))


def compiled() -> str:
    """Give the table as JSON, one shape a line."""
    sop_classes, modules, attributes = (
        json.loads(files("highdicom").joinpath(f"_standard/{name}.json").read_text("utf-8"))
        for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
    )
    shapes: dict[str, int] = {}
    roots: dict[str, int] = {}
    for iod in sorted(set(sop_classes.values()) - {DICOMDIR}):
        top: dict[int, Node] = defaultdict(Node)
        for module in modules[iod]:
            for row in attributes.get(module["key"], ()):
                _enter(top, row)
        roots[iod] = _stored(top, shapes)
    return _written(
        {uid: (iod, roots[iod]) for uid, iod in sop_classes.items() if iod != DICOMDIR}, shapes
    )


def _enter(top: dict[int, Node], row: dict[str, object]) -> None:
    """Enter one row: its keyword below the sequences of its path."""
    path, kind = row["path"], row["type"]
    inside = top
    for keyword in path if isinstance(path, list) else ():
        tag = _tag(keyword)
        if tag is None:
            return  # overlays, whose tags vary and which never stay
        inside = inside[tag].inside
    tag = _tag(str(row["keyword"]))
    if tag is not None:
        inside[tag].vr = _vr(tag)
        inside[tag].types.add(str(kind))


@cache
def _tag(keyword: str) -> int | None:
    return tag_for_keyword(keyword)


@cache
def _vr(tag: int) -> str:
    """Give one VR where the dictionary leaves a choice: numbers as unsigned, bytes as words."""
    choice = dictionary_VR(tag).split(" or ")
    return "OW" if "OW" in choice else choice[0]


def _stored(level: dict[int, Node], shapes: dict[str, int]) -> int:
    """Store what one data set may hold, its sequences first; equal ones once."""
    words = {}
    for tag, node in sorted(level.items()):
        kind = next((one for one in _STRICTEST_FIRST if one in node.types), "3")
        words[f"{tag:08X}"] = f"{node.vr or 'SQ'} {kind}"
        if node.inside:
            words[f"{tag:08X}"] += f" {_stored(node.inside, shapes)}"
    return shapes.setdefault(json.dumps(words), len(shapes))


def _written(roots: dict[str, tuple[str, int]], shapes: dict[str, int]) -> str:
    head = {
        "table": "Attributes of every IOD (PS3.3): value representation, type, and for sequences"
        " the number of the shape of their items",
        "acknowledgement": "DICOM PS3.3, (c) NEMA;"
        f" types as in the data of highdicom {version('highdicom')} (MIT)",
        "made": "python -m tests.anonymizer.compile_iods; all modules and functional group macros,"
        " the strictest type where modules differ; equal shapes once.",
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    rows = [f'  "{uid}": ["{iod}", {number}]' for uid, (iod, number) in roots.items()]
    return (
        "{\n"
        + "".join(lines)
        + ' "sop_classes": {\n'
        + ",\n".join(rows)
        + '\n },\n "shapes": [\n  '
        + ",\n  ".join(shapes)
        + "\n ]\n}\n"
    )


if __name__ == "__main__":
    TABLE.write_text(compiled(), encoding="utf-8")
