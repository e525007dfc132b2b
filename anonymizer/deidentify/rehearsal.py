"""What would be done with a slide: the plan of every attribute, and nothing written."""

from collections.abc import Sequence
from pathlib import Path

from anonymizer.deidentify.deidentify import plans_of
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.objects import choose
from anonymizer.deidentify.report import DeidReport, ImageReport
from anonymizer.deidentify.subjects import subjects_of
from anonymizer.gate.needles import needles_of
from anonymizer.part10.reading import read_header
from anonymizer.pixels.frames import number_of_frames
from anonymizer.profile.options import CLEAN_PIXEL_DATA
from anonymizer.rewrite.plan import steps


def rehearse_slide(files: Sequence[Path], method: Method) -> DeidReport:
    """Plan the de-identification of one slide from its headers alone.

    The pixels are not looked at and the gate has nothing to search, so that a slide which passes
    here may still be refused.

    Raises
    ------
    RejectedError
        The slide would be refused for what its headers say.
    """
    headers = [read_header(file) for file in files]
    objects = choose(headers, clean_pixels=CLEAN_PIXEL_DATA in method.profile.options)
    subjects_of(headers, method.pseudonyms)
    plans = plans_of(headers, method.profile)
    needles = needles_of((header, plans[header.path]) for header in headers)
    return DeidReport(
        key_id=method.pseudonyms.key_id,
        profile=method.profile,
        images=tuple(
            ImageReport(
                file=one.name,
                frames=number_of_frames(one.header.elements) if one.header.pixels else 0,
                steps=steps(plans[one.header.path]),
            )
            for one in objects.kept
        ),
        dropped=tuple((kind, str(doubt)) for kind, doubt in objects.dropped),
        looked_for=dict(needles.counts()),
        too_short=needles.too_short,
        not_sought=dict(needles.not_sought),
    )
