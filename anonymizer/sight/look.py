"""Looking at the images of a slide: what can be read on them, and where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from anonymizer.sight.decoding import decoded
from anonymizer.sight.found import Box, Picture
from anonymizer.sight.judging import Sighting, judge
from anonymizer.sight.pictures import fitting, pictures
from anonymizer.sight.reading import Words, read
from appliance.errors import UnreadableEncoding, UnsuitableSlide
from appliance.slides.reader import open_slide

_UNREADABLE: Final = "The pixels of an image cannot be read, so that nobody knows what they show."


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen on the kept images of one slide."""

    pictures: int
    """How many pictures were looked at."""
    sights: tuple[Sighting, ...]
    """What can be read; places in shares of the slide's height and width."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where something can be read."""
        return tuple(sight.box for sight in self.sights)


def look(
    slides: Sequence[Path], others: Sequence[Path], reader: Words, seeds: frozenset[str]
) -> Look:
    """Look for text and barcodes on images.

    Parameters
    ----------
    slides
        The images of one slide.
    others
        Single images.
    reader
        What finds words.
    seeds
        Words that count wherever they are found; see `judging.seeds_of`.

    Raises
    ------
    UnsuitableSlide
        The pixels cannot be read, so that nobody knows what they show.
    IdentityDoubt
        Tesseract fails.
    """
    sights, count = [], 0
    for picture in chain(_of_slide(slides), *map(_of_image, others)):
        count += 1
        rows, columns = picture.shape[:2]
        for sight in judge(read(picture, reader), seeds):
            box = sight.box.scaled(1 / rows, 1 / columns)
            sights.append(Sighting(kind=sight.kind, box=box))
    return Look(pictures=count, sights=tuple(sights))


def _of_slide(files: Sequence[Path]) -> Iterator[Picture]:
    """Give pictures of a slide; the small levels frame by frame where the slide reader shows none.

    That is so when it does not open the slide, and when it shows one of several optical paths or
    focal planes, or greys of more than 8 bits without their contrast: writing may be on any.
    """
    if not files:
        return
    try:
        slide = open_slide(files)
    except UnsuitableSlide:
        small = [picture for file in files for picture in decoded(file)]
        if not small:
            raise
        yield from map(fitting, small)
        return
    with slide:
        yield from pictures(slide)
        if slide.shows_everything:
            return
    beside = [picture for file in files for picture in decoded(file)]
    if not beside:
        raise UnreadableEncoding(_UNREADABLE)
    yield from map(fitting, beside)


def _of_image(file: Path) -> Iterator[Picture]:
    found = decoded(file)
    if not found:
        raise UnreadableEncoding(_UNREADABLE)
    yield from map(fitting, found)
