"""File meta information (PS3.10 7.1), encoded without a data set: every object needs it once."""

import struct
from functools import lru_cache
from typing import Final

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE: Final = b"\0" * 128 + b"DICM"
_SHORT: Final = struct.Struct("<HH2sH")
_LONG: Final = struct.Struct("<HH2sHI")


def file_meta(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Give preamble, prefix and file meta information of an object."""
    instance = _uid(0x0003, sop_instance_uid)
    before, after = _around(sop_class_uid, transfer_syntax_uid)
    length = len(before) + len(instance) + len(after)
    group_length = _SHORT.pack(0x0002, 0x0000, b"UL", 4) + struct.pack("<I", length)
    return b"".join((_PREAMBLE, group_length, before, instance, after))


@lru_cache(maxsize=256)
def _around(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """Give what comes before and after the SOP Instance UID; it repeats from object to object."""
    version = _LONG.pack(0x0002, 0x0001, b"OB", 0, 2) + b"\0\1"
    name = _padded(IMPLEMENTATION_VERSION_NAME, b" ")
    return (
        version + _uid(0x0002, sop_class_uid),
        _uid(0x0010, transfer_syntax_uid)
        + _uid(0x0012, IMPLEMENTATION_CLASS_UID)
        + _SHORT.pack(0x0002, 0x0013, b"SH", len(name))
        + name,
    )


def _uid(number: int, value: str) -> bytes:
    content = _padded(value, b"\0")
    return _SHORT.pack(0x0002, number, b"UI", len(content)) + content


def _padded(value: str, by: bytes) -> bytes:
    content = value.encode("ascii", "replace")
    return content + by * (len(content) % 2)
