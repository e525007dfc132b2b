"""What the VL Whole Slide Microscopy Image IOD holds: VR and Type of every attribute by its path.

A `Shape` is what one data set may hold: the object itself, or the items of one sequence.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

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


@cache
def whole_slide_image() -> Shape:
    """Shape of the whole object (PS3.3 A.32.8)."""
    content = json.loads(files(__package__).joinpath("vl_wsi_types.json").read_text("utf-8"))
    shapes = [Shape() for _ in content["shapes"]]
    for shape, row in zip(shapes, content["shapes"], strict=True):
        for tag, words in row.items():
            vr, kind, *number = words.split()
            inner = shapes[int(number[0])] if number else None
            shape.attributes[int(tag, 16)] = Attribute(vr=vr, type=kind, items=inner)
    whole: Shape = shapes[content["root"]]
    return whole
