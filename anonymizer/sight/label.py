"""What the slide's label says: its barcodes and words, beside what the header says.

A label image is read as it was received, before anything is written. A barcode that names another
slide than the header does is a mismatch: the scanner mixed up two slides, or the header is another
patient's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from anonymizer.part10.elements import Element, Header, text
from anonymizer.sight.barcodes import read_barcodes
from anonymizer.sight.decoding import decoded
from anonymizer.sight.found import Barcode, Picture, Word, letters
from anonymizer.sight.judging import is_one_off
from anonymizer.sight.reading import Words
from appliance.errors import IdentityDoubt

_FLAVORS: Final = ("LABEL", "OVERVIEW")
_IMAGE_TYPE: Final = 0x00080008
_CONTAINER: Final = 0x00400512
_SPECIMENS: Final = 0x00400560
_NAMES: Final = (_CONTAINER, 0x00080050, 0x00400551, 0x0040050A, 0x004006FA)
"""Container, accession and specimen, the newest and the retired attributes of them."""
_SHORTEST: Final = 4
_SHORTEST_FUZZY: Final = 6
_SURE: Final = 60.0
_WIDEST_PX: Final = 2000
"""Letters of a label are large enough to be read in a picture of this side."""
_MISMATCH: Final = (
    "The barcode on the slide's label names another slide than the scanner's header does."
)


class LabelMismatch(IdentityDoubt):
    """The label and the header name different slides."""

    code = "label-mismatch"


class Agreement(StrEnum):
    """How label and header go together."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What was read on the label images of one slide. This is identity."""

    container_identifier: str
    barcodes: tuple[str, ...]
    texts: tuple[str, ...]
    agreement: Agreement


LABEL_SENTENCES: Final = {
    Agreement.AGREES: "The label names the same slide as the header.",
    Agreement.DIFFERS: _MISMATCH,
    Agreement.UNKNOWN: "No label could be compared with the header.",
}


def read_label(headers: Sequence[Header], reader: Words) -> Label:
    """Read the label images of a slide and compare them with its header.

    Raises
    ------
    IdentityDoubt
        Tesseract fails.
    """
    named = frozenset(one for header in headers for one in _named(header.elements))
    barcodes: list[Barcode] = []
    words: list[Word] = []
    for flavor in _FLAVORS:
        shown = [one for one in headers if _flavor(one) == flavor]
        pictures = [picture for header in shown for picture in decoded(header.path)]
        barcodes += [code for picture in pictures for code in read_barcodes(picture)]
        if not words:  # the overview shows the same label, smaller, and much else
            words += [word for picture in pictures for word in _words(picture, reader)]
    container = next((text(header.value(_CONTAINER)) for header in headers), "")
    codes = tuple(dict.fromkeys(barcode.text for barcode in barcodes))
    sure = tuple(dict.fromkeys(word.text for word in words if _is_sure(word)))
    return Label(
        container_identifier=container,
        barcodes=codes,
        texts=sure,
        agreement=compare(named, codes, [word.text for word in words]),
    )


def check_label(label: Label) -> None:
    """Refuse a slide whose label names another one.

    Raises
    ------
    LabelMismatch
        It does.
    """
    if label.agreement is Agreement.DIFFERS:
        raise LabelMismatch(_MISMATCH)


def compare(named: Iterable[str], barcodes: Sequence[str], words: Sequence[str]) -> Agreement:
    """Compare what a label says with the identifiers of the header.

    Blanks, dashes and case do not count. A barcode agrees when it holds an identifier or an
    identifier holds it, a check character aside. Text agrees when an identifier is found in it, one
    letter aside; text that does not agree proves nothing, for labels carry many words. A value
    without a digit ("unknown") is no identifier.
    """
    identifiers = {letters(one) for one in named}
    identifiers = {one for one in identifiers if any(sign.isdigit() for sign in one)}
    codes = {letters(one) for one in barcodes}
    codes = {one for one in codes if len(one) >= _SHORTEST}
    if not identifiers:
        return Agreement.UNKNOWN
    if codes:
        agree = any(_same(code, one) for code in codes for one in identifiers)
        return Agreement.AGREES if agree else Agreement.DIFFERS
    joined = letters("".join(words))
    if any(_is_in(one, joined) for one in identifiers if len(one) >= _SHORTEST):
        return Agreement.AGREES
    return Agreement.UNKNOWN


def _same(code: str, identifier: str) -> bool:
    """Whether either holds the other; what is much shorter is a part by chance."""
    shorter, longer = sorted((code, identifier), key=len)
    if len(shorter) < _SHORTEST:
        return code == identifier
    return shorter in longer


def _is_in(identifier: str, joined: str) -> bool:
    if identifier in joined:
        return True
    if len(identifier) < _SHORTEST_FUZZY:
        return False
    return any(
        is_one_off(identifier, joined[at : at + length])
        for length in range(len(identifier) - 1, len(identifier) + 2)
        for at in range(max(0, len(joined) - length + 1))
    )


def _named(elements: Sequence[Element]) -> Iterable[str]:
    for element in elements:
        if element.tag in _NAMES:
            yield text(element.value)
        elif element.tag == _SPECIMENS:
            for item in element.items or ():
                yield from _named(item)


def _flavor(header: Header) -> str:
    return "".join(text(header.value(_IMAGE_TYPE)).split("\\")[2:3]).strip()


def _words(picture: Picture, reader: Words) -> list[Word]:
    """Read a label as it lies, and the other ways round until something sure is found."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    scale = _WIDEST_PX / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found: list[Word] = []
    for quarter in range(4):
        turned = np.ascontiguousarray(np.rot90(grey, quarter)).astype(np.uint8)
        words = list(reader.words(turned))
        found += words
        if any(_is_sure(word) and len(letters(word.text)) >= _SHORTEST for word in words):
            break
    return found


def _is_sure(word: Word) -> bool:
    return word.confidence >= _SURE and len(letters(word.text)) > 1
