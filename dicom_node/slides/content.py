"""Looking at what we hold: whether the content of a receipt is still there, whole and unchanged."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, Literal

from appliance.stores.receipts import Receipt

Depth = Literal["row", "file", "hash"]

_CHUNK_BYTES: Final = 1 << 20
_PREFIX: Final = b"DICM"
_PREAMBLE_BYTES: Final = 128
_META_START_BYTES: Final = 144
"""Preamble, prefix, and the group length element of the file meta information (PS3.10 7.1)."""


class Content(StrEnum):
    """What was found."""

    SOUND = "sound"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    """The disk or the system did not let us look now."""


def look(path: Path, receipt: Receipt, depth: Depth) -> Content:
    """Look at the content of a receipt.

    Parameters
    ----------
    path
        Where it lies.
    receipt
        What it was when it came.
    depth
        row: believe the receipt. file: the file is there in its length. hash: every byte of its
        data set is read.
    """
    if depth == "row":
        return Content.SOUND
    try:
        if path.stat().st_size != receipt.size_bytes:
            return Content.DAMAGED
        if depth == "file":
            return Content.SOUND
        with path.open("rb") as file:
            return Content.SOUND if _sha256(file) == receipt.sha256 else Content.DAMAGED
    except FileNotFoundError:
        return Content.MISSING
    except OSError:
        return Content.UNREADABLE


def _sha256(file: BinaryIO) -> str | None:
    """Hash the data set, as the receiver did; None when the file does not begin as DICOM."""
    start = file.read(_META_START_BYTES)
    if start[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_PREFIX)] != _PREFIX:
        return None
    file.seek(_META_START_BYTES + int.from_bytes(start[-4:], "little"))
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
