"""What the node tells the screen of a slide's objects: levels, sizes, fate; no UID, no identity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.uid import UID

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction, InvalidInstance
from appliance.line import Role
from appliance.stores.originals import Originals
from appliance.stores.receipts import Receipts, StoredInstance
from dicom_node.headers import Instance, pydicom_door, read_header
from dicom_node.receive.receiver import facts_of

_FLAVOURS: Final = ("VOLUME", "LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")
"""Values of Image Type that are told by their name; any other text of a scanner is not."""
_OTHER: Final = "OTHER"
_UM_PER_MM: Final = 1000.0

Member = tuple[Instance, StoredInstance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Describes the objects of a slide, as far as they have come.

    Attributes
    ----------
    receipts, originals
        What came, and what became of it.
    path_of
        Where the object with a content hash lies.
    """

    receipts: Receipts
    originals: Originals
    path_of: Callable[[str], Path]

    def of(self, slide_id: str) -> dict[str, Any]:
        """Describe a slide.

        Raises
        ------
        ForbiddenAction
            The node knows no objects of this slide.
        """
        stored = self.receipts.of_slide(slide_id)
        if not stored:
            raise ForbiddenAction("The node knows no slide of this id.")
        members = [(facts_of(one.receipt), one) for one in stored if not one.dismissed]
        fates = self.originals.held(slide_id)
        return {
            "images": [self._image(same) for same in _by_image(members)],
            "objects": len(members),
            "bytes": sum(one.receipt.size_bytes for _, one in members),
            "dismissed": len(stored) - len(members),
            "purged": sum(one.purged_at is not None for _, one in members),
            "promised": sum(one.promised for one in fates),
            "archived": sum(one.archived for one in fates),
        }

    def commands(self) -> dict[str, Command]:
        """Give what every operator can ask for."""

        def describe_slide(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
            return self.of(str(arguments.get("slide_id", "")))

        return {"describe_slide": Command(role=Role.VIEWER, run=describe_slide)}

    def _image(self, members: Sequence[Member]) -> dict[str, Any]:
        first, stored = members[0]
        return {
            "flavour": _flavour(first),
            "rows": first.rows_px,
            "columns": first.columns_px,
            "um_px": self._um_px(stored),
            "objects": len(members),
            "frames": sum(facts.n_frames for facts, _ in members),
            "bytes": sum(one.receipt.size_bytes for _, one in members),
            "encoding": encoding(first.transfer_syntax_uid),
        }

    def _um_px(self, stored: StoredInstance) -> float | None:
        """Read the pixel spacing; None where it is not shared, or the object is gone or damaged."""
        try:
            return um_px(read_header(self.path_of(stored.receipt.sha256)).dataset)
        except (InvalidInstance, OSError):
            return None


def um_px(header: Dataset) -> float | None:
    """Micrometres per pixel of a tiled image; None when the header does not say it of all frames.

    Raises
    ------
    InvalidInstance
        The header is damaged there.
    """
    with pydicom_door():
        for groups in header.get("SharedFunctionalGroupsSequence") or ():
            for measures in groups.get("PixelMeasuresSequence") or ():
                down_mm, across_mm = (float(each) for each in measures.PixelSpacing)
                return _UM_PER_MM * (down_mm + across_mm) / 2
    return None


def encoding(transfer_syntax_uid: str) -> str:
    """Name an encoding by the words of the standard; a vendor's own is not named."""
    syntax = UID(transfer_syntax_uid)
    return syntax.name if syntax.is_transfer_syntax and not syntax.is_private else _OTHER


def _by_image(members: Sequence[Member]) -> list[list[Member]]:
    """Put the parts, focal planes and optical paths of an image together; the finest level first.

    A label comes after the levels, whatever its size.
    """
    images: dict[tuple[str, int, int], list[Member]] = {}
    for facts, stored in members:
        key = (_flavour(facts), facts.rows_px, facts.columns_px)
        images.setdefault(key, []).append((facts, stored))
    places = (*_FLAVOURS, _OTHER)
    return [images[key] for key in sorted(images, key=lambda key: (places.index(key[0]), -key[1]))]


def _flavour(facts: Instance) -> str:
    return facts.flavour if facts.flavour in _FLAVOURS else _OTHER
