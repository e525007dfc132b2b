"""Finding an element in a data set without keeping anything of what lies before it.

The per-frame functional groups of a large level are millions of elements. Where they have no length
of their own (PS3.5 7.5.1) they have to be walked through to find what follows them.
"""

import os
import struct
from collections.abc import Collection
from typing import BinaryIO, Final

from appliance.errors import InvalidInstance

_HEAD: Final = struct.Struct("<HHI")
_SHORT: Final = struct.Struct("<H")
_LONG: Final = struct.Struct("<I")
_UNDEFINED: Final = 0xFFFFFFFF
_ITEMS: Final = 0xFFFE
_ITEM: Final = 0xE000
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""Value representations with a length of 32 bits (PS3.5 7.1.2)."""


def find(file: BinaryIO, tags: Collection[int], *, is_implicit: bool) -> int | None:
    """Give where the first of some elements starts; None when the data set ends before.

    Parameters
    ----------
    file
        At the start of an element of a little endian data set.
    tags
        Elements of the data set itself, not of an item in it.
    is_implicit
        Whether it has no value representations (PS3.5 A.1).

    Raises
    ------
    InvalidInstance
        It is no data set.
    """
    outside: list[bool] = []
    """Of every open sequence and item: how what is around it is encoded."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        group, number, length = _HEAD.unpack(head)
        if group != _ITEMS:
            if not outside and group << 16 | number in tags:
                return file.tell() - _HEAD.size
            is_unknown = not is_implicit and head[4:6] == b"UN"
            length = length if is_implicit else _explicit_length(file, head)
        elif number == _ITEM:
            is_unknown = False
        else:
            if not outside:
                raise InvalidInstance("A sequence of the object ends that did not begin.")
            is_implicit = outside.pop()
            continue
        if length == _UNDEFINED:
            outside.append(is_implicit)
            is_implicit = is_implicit or is_unknown  # PS3.5 6.2.2, note 2
        else:
            file.seek(length, os.SEEK_CUR)
    return None


def _explicit_length(file: BinaryIO, head: bytes) -> int:
    if head[4:6] not in _LONG_VRS:
        return int(_SHORT.unpack_from(head, 6)[0])
    length = file.read(_LONG.size)
    return int(_LONG.unpack(length)[0]) if len(length) == _LONG.size else 0
