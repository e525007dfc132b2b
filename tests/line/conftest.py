"""Slides and a running appliance for the tests of the whole line."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.synthetic.dicom import write_slide
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.plan import SlidePlan
from appliance.temporary import BLIND
from tests.line.appliance_site import ApplianceSite


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceSite]:
    """One appliance for many tests; each pushes slides of its own."""
    with ApplianceSite(tmp_path_factory.mktemp("hospital") / "site", edit=blind) as site:
        yield site


def blind(settings: str) -> str:
    """Let nobody read pixels: half of what a slide costs, and nothing that these tests look at.

    A slide of the whole line, of the capture and of `coverslip analyze` is read by tesseract.
    """
    if BLIND in settings or os.environ.get("COVERSLIP_LONG"):
        return settings
    assert "[deidentify]\n" in settings
    return settings.replace("[deidentify]\n", f"[deidentify]\n{BLIND}\n")


def clean_slide(folder: Path, *, seed: int, canary: str | None = None) -> Path:
    """Write a small slide without artifacts, so that it is accepted and its tiles may leave."""
    identity = SlideIdentity.canary(canary) if canary else SlideIdentity.invented(seed=seed)
    write_slide(folder, SlidePlan.small(seed=seed, kinds=()), identity)
    return folder


def tiny_slide(folder: Path, *, seed: int) -> Path:
    """Write the smallest slide that the line takes."""
    write_slide(folder, SlidePlan.tiny(seed=seed, kinds=()), SlideIdentity.invented(seed=seed))
    return folder
