"""What a run does about things that can be read: the value that the settings make, and its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from anonymizer.part10.elements import Header
from anonymizer.sight.judging import seeds_of
from anonymizer.sight.label import LABEL_SENTENCES, Agreement, Label, check_label, read_label
from anonymizer.sight.reading import Words
from anonymizer.sight.tesseract import find_tesseract
from appliance.errors import IdentityDoubt
from appliance.settings import Deidentify

Answer = Literal["set_aside", "remove", "off"]

_FOUND: Final = "Text or a barcode can be read on the images of the slide."
_STAYED: Final = "Text can still be read on the slide after it was painted over."


class TextOnSlide(IdentityDoubt):
    """Something can be read on what was to be kept."""

    code = "text-on-slide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at, and what was done about what was read. No word of it is kept."""

    pictures: int = 0
    """How many pictures of kept images were looked at; 0 when that is off."""
    places_painted: int = 0
    frames_painted: int = 0
    label: Agreement | None = None
    """How the label and the header go together; None when that is off."""

    @property
    def sentence(self) -> str:
        """Say it for the list of events; empty when nobody looked."""
        said = []
        if self.pictures:
            what = f"{self.places_painted} places painted over" if self.places_painted else "none"
            said.append(f"Text was looked for on {self.pictures} pictures: {what}.")
        if self.label is not None:
            said.append(LABEL_SENTENCES[self.label])
        return " ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How pixels are read in a run.

    Attributes
    ----------
    reader
        What finds words in pictures.
    text_in_pixels
        What becomes of a slide on which something can be read.
    compares_label
        Whether a label that names another slide refuses it.
    """

    reader: Words
    text_in_pixels: Answer
    compares_label: bool

    def check_label(self, headers: Sequence[Header]) -> Label | None:
        """Read and compare the label of a slide, where that is asked for.

        Raises
        ------
        LabelMismatch
            The label names another slide.
        """
        if not self.compares_label:
            return None
        label = read_label(headers, self.reader)
        check_label(label)
        return label

    def check_pixels(
        self, slides: Sequence[Path], others: Sequence[Path], headers: Sequence[Header]
    ) -> Seen:
        """Look at new images, and do what the settings say about what can be read.

        Parameters
        ----------
        slides
            Whole-slide images that were just written.
        others
            Single images that were; these are never painted over.
        headers
            Headers of the originals, whose values are looked for.

        Raises
        ------
        TextOnSlide
            Something can be read, or can still be read after it was painted over.
        IdentityDoubt
            Something can be read and cannot be painted over.
        UnsuitableSlide
            The pixels cannot be decoded, so that nobody knows what they show.
        """
        if self.text_in_pixels == "off" or not (slides or others):
            return Seen()
        # The decoders of these take memory that a run which reads nothing has no use for.
        from anonymizer.sight.look import look
        from anonymizer.sight.removing import remove

        seeds = seeds_of(header.elements for header in headers)
        first = look(slides, others, self.reader, seeds)
        if not first.sights:
            return Seen(pictures=first.pictures)
        if self.text_in_pixels == "set_aside" or others:
            raise TextOnSlide(_FOUND)
        frames = sum(remove(file, first.boxes) for file in slides)
        second = look(slides, others, self.reader, seeds)
        if second.sights:
            raise TextOnSlide(_STAYED)
        return Seen(
            pictures=first.pictures + second.pictures,
            places_painted=len(first.boxes),
            frames_painted=frames,
        )


def sight_of(section: Deidentify) -> Sight | None:
    """Make what the settings ask for; None when they ask for nothing.

    Raises
    ------
    ConfigError
        Something is asked for, and tesseract does not work on this machine.
    """
    if section.text_in_pixels == "off" and section.label == "ignore":
        return None
    return Sight(
        reader=find_tesseract(),
        text_in_pixels=section.text_in_pixels,
        compares_label=section.label == "compare",
    )
