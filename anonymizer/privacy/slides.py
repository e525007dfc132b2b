"""Slides of the site, for a certificate of its own: a folder with one DICOM folder a slide."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from anonymizer.attack.learned import Learned, train
from anonymizer.privacy.measure import measurement_of, run_batch, run_plan
from anonymizer.privacy.releases import of_recipient, planned, recipients
from anonymizer.privacy.tissue import Piece, Tissue, piece
from appliance.certificate import Measurement
from appliance.errors import ConfigError
from appliance.settings import ColouredTiles
from appliance.slides.reader import open_slide
from appliance.slides.sampling import Sampler

_KEYS: Final = tuple(f"key {number} of a certificate".encode() for number in range(4))
_FEWEST_SLIDES: Final = 2
_MOST_PX: Final = 64 << 20
"""Pixels of one slide that are held at once, about 8,000 x 8,000: the middle of it."""


def measure_slides(folder: Path, policy: ColouredTiles) -> Measurement:
    """Attack a plan on slides of the site, the learned attacker trained on the others.

    Raises
    ------
    ConfigError
        There are not two slides fine enough, each in a folder of its own.
    """
    slides = tuple(_slides(folder, policy))
    if len(slides) < _FEWEST_SLIDES:
        raise ConfigError(
            f"{folder} needs two slides at least, each a folder of DICOM files, fine enough."
        )
    runs = [
        run_plan(one, policy, keys=_KEYS, learned=_trained_on(slides, one, policy))
        for one in slides
    ]
    batch = Tissue(
        name="all slides, one batch",
        kind="site",
        um_px=policy.um_px,
        pieces=tuple(one.pieces[0] for one in slides),
    )
    together = run_batch(batch, policy, key=_KEYS[0])
    return measurement_of(policy, runs, batch=together)


def _slides(folder: Path, policy: ColouredTiles) -> Iterator[Tissue]:
    """Read slides under numbers: a certificate names none of them."""
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    for number, path in enumerate(folders, start=1):
        one = _read(sorted(path.glob("*.dcm")), policy, name=f"slide {number}")
        if one is not None:
            yield Tissue(name=one.slide, kind="site", um_px=policy.um_px, pieces=(one,))


def _read(files: list[Path], policy: ColouredTiles, *, name: str) -> Piece | None:
    with open_slide(files) as reader:
        sampler = Sampler(reader, policy.um_px)
        if sampler.coarser:
            return None
        rows = min(sampler.rows, max(1, _MOST_PX // sampler.columns))
        top = (sampler.rows - rows) // 2
        return piece(name, np.asarray(sampler.region(top, 0, rows, sampler.columns)))


def _trained_on(slides: tuple[Tissue, ...], but: Tissue, policy: ColouredTiles) -> Learned:
    key = b"the attacker's own"
    releases = [planned(one, policy, key=key) for one in slides if one is not but]
    return train([of_recipient(one, name) for one in releases for name in recipients(one)])
