"""Writes `deidentification-attributes.md`: what the default profile does with every attribute.

It is a part of the conformance statement (PS3.15 E.1.3). Run it after a change of the rules:
python docs/deid_attributes.py
"""

import json
from importlib.resources import files
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from anonymizer.profile.decide import EDITION, Profile, keyword
from anonymizer.profile.iod import Attribute, Shape

FILE = Path(__file__).with_name("deidentification-attributes.md")
_TYPES = ("1", "2", "3")
_HEAD = f"""# What is done with every attribute

The attributes of Table E.1-1 ({EDITION}, (c) NEMA) and of our own rules for slides, as the default
profile treats them; "dummy / empty / remove" means at Type 1 / 2 / 3 of the attribute in its IOD.
What the IOD does not have is removed, whatever stands here. `docs/deid_attributes.py` writes this
file, and a test compares it with the code. What a single slide got is in its report:
`coverslip deidentify --dry-run --report`.

| attribute | tag | Basic Profile | done |
|---|---|---|---|
"""


def table() -> str:
    """Make the whole file."""
    folder = files("anonymizer.profile")
    rows = json.loads(folder.joinpath("profile_2026d.json").read_text("utf-8"))["rows"]
    codes = {
        int(row["tag"][1:5] + row["tag"][6:10], 16): row["basic_profile"]
        for row in rows
        if "x" not in row["tag"] and "gggg" not in row["tag"]
    }
    rules = json.loads(folder.joinpath("wsi_rules.json").read_text("utf-8"))["rules"]
    own = {int(rule["tag"], 16) for rule in rules if "x" not in rule["tag"]}
    lines = [_line(tag, codes.get(tag, "-")) for tag in sorted(codes.keys() | own)]
    return _HEAD + "\n".join(lines) + "\n"


def _line(tag: int, code: str) -> str:
    profile = Profile()
    vr = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "LO"
    items = Shape() if vr == "SQ" else None
    done = [
        str(profile.decide(tag, Attribute(vr=vr, type=kind, items=items)).action) for kind in _TYPES
    ]
    name = keyword(tag)
    shown = "" if name.startswith("(") else name
    words = done[0] if len(set(done)) == 1 else " / ".join(done)
    return f"| {shown} | {tag >> 16:04X},{tag & 0xFFFF:04X} | {code} | {words} |"


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
