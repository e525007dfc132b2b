"""What every IOD holds: VR and Type of each attribute where it may stand (PS3.3).

A `Shape` is what one data set may hold: the object itself, or the items of one sequence. The
table is made by `python -m tests.anonymizer.compile_iods`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from appliance.errors import InvalidInstance

VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"

_CODE_VALUE = 0x00080100


@dataclass(slots=True, kw_only=True, eq=False)
class Attribute:
    """One attribute of a shape."""

    vr: str
    type: str
    """Data element type (PS3.5 7.4): 1, 1C, 2, 2C or 3; the strictest where modules differ."""
    items: "Shape | None" = None


@dataclass(slots=True, eq=False)
class Shape:
    """The attributes that one data set may hold, by tag."""

    attributes: dict[int, Attribute] = field(default_factory=dict)

    @property
    def is_code(self) -> bool:
        """Whether the data set is a coded concept (PS3.3 8.8)."""
        return _CODE_VALUE in self.attributes


def whole_slide_image() -> Shape:
    """Shape of the whole object (PS3.3 A.32.8)."""
    return iod_of(VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE)


def iod_of(sop_class_uid: str) -> Shape:
    """Shape of an object of this SOP class.

    Raises
    ------
    InvalidInstance
        The SOP class has no IOD in the table, so nobody can say what may stay in the object.
    """
    row = _table()["sop_classes"].get(sop_class_uid)
    if row is None:
        raise InvalidInstance("The object is of a kind that cannot be de-identified.")
    return _shape(row[1])


def sop_classes() -> Mapping[str, str]:
    """Every SOP class that can be de-identified, with the name of its IOD."""
    return {uid: name for uid, (name, _) in _table()["sop_classes"].items()}


@cache
def _shape(number: int) -> Shape:
    shape = Shape()
    for tag, words in _table()["shapes"][number].items():
        vr, kind, *inner = words.split()
        items = _shape(int(inner[0])) if inner else None
        shape.attributes[int(tag, 16)] = Attribute(vr=vr, type=kind, items=items)
    return shape


@cache
def _table() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(
        files(__package__).joinpath("iods.json").read_text(encoding="utf-8")
    )
    return content
