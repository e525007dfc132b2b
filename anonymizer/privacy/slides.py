"""Slides of the site, for a certificate of its own: a folder with one DICOM folder a slide."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from anonymizer.attack.learned import Learned, train
from anonymizer.privacy.measure import attack_works, measurement_of, run_batch, run_plan
from anonymizer.privacy.releases import each_recipient, n_cells
from anonymizer.privacy.tissue import Piece, Tissue, piece
from appliance.certificate import Measurement
from appliance.errors import ConfigError
from appliance.settings import ColouredTiles
from appliance.slides.reader import open_slide
from appliance.slides.sampling import Sampler

KEYS: Final = tuple(f"key {number} of a certificate".encode() for number in range(4))
_FEWEST_SLIDES: Final = 2
FEWEST_CELLS: Final = 8
"""A slide with fewer cells of clean tissue has nothing to tell."""
_MOST_PX: Final = 64 << 20
"""Pixels of one slide that are held at once, about 8,000 x 8,000: the middle of it."""


def measure_slides(folder: Path, policy: ColouredTiles) -> Measurement:
    """Attack a plan on slides of the site, the learned attacker trained on the others.

    Raises
    ------
    ConfigError
        There are not two slides with enough tissue, or one is too coarse for the plan.
    """
    slides = tuple(_slides(folder, policy))
    if len(slides) < _FEWEST_SLIDES:
        raise ConfigError(
            f"{folder} needs two slides at least, each a folder of DICOM files with enough tissue."
        )
    runs = [
        run_plan(one, policy, keys=KEYS, learned=_trained_on(slides, one, policy)) for one in slides
    ]
    batch = Tissue(
        name="all slides, one batch",
        kind="site",
        um_px=policy.um_px,
        pieces=tuple(one.pieces[0] for one in slides),
    )
    together = run_batch(batch, policy, key=KEYS[0])
    smallest = min(slides, key=lambda one: n_cells(one, policy.cell_px))
    works = attack_works(smallest)
    return measurement_of(policy, runs, batch=together, works=works)


def _slides(folder: Path, policy: ColouredTiles) -> Iterator[Tissue]:
    """Read slides under numbers: a certificate names none of them."""
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    for number, path in enumerate(folders, start=1):
        one = _read(sorted(path.glob("*.dcm")), policy, name=f"slide {number}")
        tissue = Tissue(name=one.slide, kind="site", um_px=policy.um_px, pieces=(one,))
        if n_cells(tissue, policy.cell_px) >= FEWEST_CELLS:
            yield tissue


def _read(files: list[Path], policy: ColouredTiles, *, name: str) -> Piece:
    with open_slide(files) as reader:
        sampler = Sampler(reader, policy.um_px)
        if sampler.coarser:
            raise ConfigError(f"The {name} was scanned too coarse for this plan; take it out.")
        rows = min(sampler.rows, max(1, _MOST_PX // sampler.columns))
        top = (sampler.rows - rows) // 2
        return piece(name, np.asarray(sampler.region(top, 0, rows, sampler.columns)))


def _trained_on(slides: tuple[Tissue, ...], but: Tissue, policy: ColouredTiles) -> Learned:
    key = b"the attacker's own"
    others = [one for one in slides if one is not but]
    return train([held for one in others for held in each_recipient(one, policy, key=key)])
