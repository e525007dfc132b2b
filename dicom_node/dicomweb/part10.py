"""The start of a DICOM file as it streams in: what it announces, and where its data set begins.

We write preamble and file meta information of our own in front of what we keep, as for C-STORE. So
one data set has one hash, whichever way it came.
"""

import re
from dataclasses import dataclass
from typing import Final

from appliance.errors import InvalidInstance
from dicom_node.receive.transfer import Announced

MAXIMUM_HEAD_BYTES: Final = 65_536

_PREAMBLE_BYTES: Final = 128
_PREFIX: Final = b"DICM"
_META_GROUP: Final = 0x0002
_TAG_BYTES, _SHORT_BYTES, _LONG_BYTES = 4, 8, 12
_LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR",
                              b"UT", b"SV", b"UV"})  # fmt: skip
_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x0003
_TRANSFER_SYNTAX_UID: Final = 0x0010
_UID: Final = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a file announces, and the part of its data set that came with that."""

    announced: Announced
    data_set: bytes


class HeadReader:
    """Reads preamble and file meta information (PS3.10 7.1) in fragments of any length.

    The group length is not believed: the group ends where another one begins.
    """

    def __init__(self) -> None:
        self._content = bytearray()
        self._at = _PREAMBLE_BYTES + len(_PREFIX)
        self._uids: dict[int, str] = {}

    def feed(self, fragment: bytes | memoryview) -> Head | None:
        """Take the next bytes; give the head as soon as the first of the data set is there.

        Raises
        ------
        InvalidInstance
            It is no DICOM file, or its file meta information cannot be read.
        """
        self._content += fragment
        start = self._content[: _PREAMBLE_BYTES + len(_PREFIX)]
        if len(start) < _PREAMBLE_BYTES + len(_PREFIX):
            return None
        if not start.endswith(_PREFIX):
            raise InvalidInstance("The object is no DICOM file (PS3.10).")
        while self._is_meta_next() and self._take_element():
            pass
        is_whole = len(self._content) >= self._at + _TAG_BYTES and not self._is_meta_next()
        if is_whole and self._at <= MAXIMUM_HEAD_BYTES:
            return Head(announced=self._announced(), data_set=bytes(self._content[self._at :]))
        if len(self._content) > MAXIMUM_HEAD_BYTES:
            raise InvalidInstance("The object's file meta information is too long.")
        return None

    def _is_meta_next(self) -> bool:
        group = self._content[self._at : self._at + 2]
        has_tag = len(self._content) >= self._at + _TAG_BYTES
        return has_tag and int.from_bytes(group, "little") == _META_GROUP

    def _take_element(self) -> bool:
        """Take an element (Explicit VR Little Endian); False when it is not there whole."""
        at = self._at
        header = bytes(self._content[at : at + _LONG_BYTES])
        is_long = header[4:6] in _LONG_VRS
        header_bytes = _LONG_BYTES if is_long else _SHORT_BYTES
        if len(header) < header_bytes:
            return False
        length = int.from_bytes(header[8:12] if is_long else header[6:8], "little")
        if length > MAXIMUM_HEAD_BYTES:
            raise InvalidInstance("The object's file meta information cannot be read.")
        end = at + header_bytes + length
        if len(self._content) < end:
            return False
        element = int.from_bytes(header[2:4], "little")
        value = bytes(self._content[at + header_bytes : end])
        self._uids[element] = value.decode("latin-1").strip(" \0")
        self._at = end
        return True

    def _announced(self) -> Announced:
        return Announced(
            sop_class_uid=self._uid(_MEDIA_STORAGE_SOP_CLASS_UID),
            sop_instance_uid=self._uid(_MEDIA_STORAGE_SOP_INSTANCE_UID),
            transfer_syntax_uid=self._uid(_TRANSFER_SYNTAX_UID),
        )

    def _uid(self, element: int) -> str:
        value = self._uids.get(element, "")
        if not _UID.fullmatch(value):
            raise InvalidInstance("The object's file meta information lacks a UID.")
        return value
