"""A clean slide for the tests of the gate, the needles of its original, and faults to plant."""

from dataclasses import dataclass
from pathlib import Path

import pydicom

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.subjects import subjects_of
from anonymizer.gate.needles import needles_of
from anonymizer.gate.sought import Needles
from anonymizer.part10.reading import read_header
from anonymizer.profile.decide import Profile
from anonymizer.profile.iod import iod_of
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.quiet import quiet_pydicom
from anonymizer.rewrite.plan import plan
from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan

KEY = bytes(range(32))
PSEUDONYMS = Pseudonyms(KEY)


@dataclass(frozen=True, slots=True)
class CleanSlide:
    """A slide before and after."""

    identity: SlideIdentity
    sources: tuple[Path, ...]
    output: Path
    """Its smallest level, de-identified."""
    needles: Needles


def needles_for(sources, profile=None):
    """Give the needles of a slide as the flow collects them."""
    profile = profile or Profile()
    headers = [read_header(source) for source in sources]
    return needles_of(
        [(one, plan(one.elements, iod_of(one.text(0x00080016)), profile)) for one in headers],
        subjects_of(headers, PSEUDONYMS).by_path.values(),
    )


def clean_slide(folder: Path, identity: SlideIdentity, number: int = 1) -> CleanSlide:
    """Write a small slide as the demo does and de-identify it."""
    write_slide(folder / "in", SlidePlan.tiny(number, ()), identity, workers=1)
    sources = tuple(sorted((folder / "in").iterdir()))
    output = folder / "out"
    output.mkdir()
    deidentify_slide(sources, output, Method(pseudonyms=PSEUDONYMS))
    return CleanSlide(identity, sources, max(output.iterdir()), needles_for(sources))


def changed(source: Path, target: Path, change) -> Path:
    """Write a copy in which something is otherwise."""
    with quiet_pydicom():
        made = pydicom.dcmread(source)
        change(made)
        made.save_as(target, enforce_file_format=False)
    return target


def setting(**values):
    """Make a change that sets attributes."""

    def change(data_set):
        for name, value in values.items():
            setattr(data_set, name, value)

    return change


def without(*names):
    """Make a change that takes attributes away."""

    def change(data_set):
        for name in names:
            del data_set[name]

    return change


def inside(path, change):
    """Make a change in the first item of nested sequences."""

    def change_inside(data_set):
        for name in path.split("/"):
            data_set = data_set[name].value[0]
        change(data_set)

    return change_inside


def adding(tag, vr, value):
    """Make a change that adds an element which the dictionary may not know."""
    return lambda data_set: data_set.add_new(tag, vr, value)
