"""What lies in a folder, sorted into slides.

The node of the temporary line sorts once more and has the last word; here it only matters what is
sent together.
"""

import hashlib
import struct
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from appliance.conversion import VENDOR_SUFFIXES, is_dicom
from appliance.errors import ConfigError, InvalidInstance

_ISSUER_TAG: Final = 0x00400513
"""The last attribute that is looked at; what follows may be long."""
_FOREIGN: Final = (
    InvalidDicomError, ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError,
    OSError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom raises on damaged files."""
_NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSlide:
    """Files that are sent together."""

    files: tuple[Path, ...]
    places: tuple[int, ...]
    """Where the files stand in the order of their names, from 1: all that is told of them."""
    vendor: bool
    """One file that is no DICOM, which a converter has to read."""

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(file.stat().st_size for file in self.files)

    def digest(self) -> str:
        """Give the digest of the content of all files, whatever their names."""
        each = sorted(_digest(file) for file in self.files)
        return hashlib.sha256("".join(each).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a folder holds."""

    slides: tuple[SourceSlide, ...]
    """In the order of their first file."""
    damaged: tuple[int, ...]
    """Places of DICOM files that cannot be read."""
    others: int
    """How many files are no image of a slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """What of one file says where it belongs."""

    is_slide: bool
    study: str
    container: str
    issuer: str


def name_of(digest: str) -> str:
    """Name the results of a slide by its digest, which tells nothing of whose it is."""
    return f"slide-{digest[:_NAME_DIGITS]}"


def find_slides(source: Path) -> Found:
    """Sort the files of a folder, or one file, into slides.

    Raises
    ------
    ConfigError
        There is no such file or folder.
    """
    if not source.exists():
        raise ConfigError(f"{source} does not exist.")
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    slides: list[SourceSlide] = []
    dicom: list[tuple[int, Path, _Card]] = []
    damaged: list[int] = []
    others = 0
    for place, file in enumerate(files, start=1):
        if not is_dicom(file):
            if file == source or file.suffix.lower() in VENDOR_SUFFIXES:
                slides.append(SourceSlide(files=(file,), places=(place,), vendor=True))
            else:
                others += 1
            continue
        try:
            card = _header(file)
        except InvalidInstance:
            damaged.append(place)
            continue
        if card.is_slide:
            dicom.append((place, file, card))
        else:
            others += 1
    slides += _grouped(dicom)
    slides.sort(key=lambda slide: slide.places)
    return Found(slides=tuple(slides), damaged=tuple(damaged), others=others)


def _grouped(images: Iterable[tuple[int, Path, _Card]]) -> list[SourceSlide]:
    """Put images of one container together; what names none goes with the only one of its study."""
    groups: dict[tuple[str, str, str], list[tuple[int, Path]]] = {}
    nameless: dict[str, list[tuple[int, Path]]] = {}
    for place, file, card in images:
        if card.container:
            key = (card.study, card.container, card.issuer)
            groups.setdefault(key, []).append((place, file))
        else:
            nameless.setdefault(card.study, []).append((place, file))
    for study, members in nameless.items():
        homes = [key for key in groups if key[0] == study]
        home = homes[0] if len(homes) == 1 else (study, "", "")
        groups.setdefault(home, []).extend(members)
    return [_slide(sorted(members)) for members in groups.values()]


def _slide(members: Sequence[tuple[int, Path]]) -> SourceSlide:
    places, files = zip(*members, strict=True)
    return SourceSlide(files=files, places=places, vendor=False)


def _header(file: Path) -> _Card:
    """Read what of a header says where an image belongs.

    Raises
    ------
    InvalidInstance
        It is damaged.
    """
    try:
        with warnings.catch_warnings(), file.open("rb") as opened:
            warnings.simplefilter("ignore")  # they quote values
            header = read_partial(opened, lambda tag, _vr, _length: tag > _ISSUER_TAG)
            return _Card(
                is_slide=header.SOPClassUID == VLWholeSlideMicroscopyImageStorage,
                study=str(header.get("StudyInstanceUID", "")),
                container=str(header.get("ContainerIdentifier") or ""),
                issuer=_issuer(header),
            )
    except _FOREIGN as error:
        raise InvalidInstance("A DICOM file is damaged.") from error


def _issuer(header: Dataset) -> str:
    items: Any = header.get("IssuerOfTheContainerIdentifierSequence") or []
    return "/".join(
        str(item.get(word) or "")
        for item in items
        for word in ("LocalNamespaceEntityID", "UniversalEntityID")
    )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
