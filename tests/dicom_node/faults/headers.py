"""Headers with the per-frame functional groups of very many frames."""

import struct

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = struct.pack("<HH2s", 0x7FE0, 0x0010, b"OB")


def with_frame_groups(data_set: bytes, *, frames: int, lengths: bool) -> bytes:
    """Add the groups of so many frames before the pixel data.

    Parameters
    ----------
    lengths
        Whether sequences and items have lengths; else they end with delimiters (PS3.5 7.5.2).
    """
    at = data_set.index(PIXEL_DATA)
    items = b"".join(_frame(number, lengths=lengths) for number in range(frames))
    return data_set[:at] + _sequence(0x5200, 0x9230, items, lengths=lengths) + data_set[at:]


def _frame(number: int, *, lengths: bool) -> bytes:
    position = (
        _element(0x0040, 0x072A, b"DS", b"%d" % number)
        + _element(0x0040, 0x073A, b"DS", b"%d" % number)
        + _element(0x0048, 0x021E, b"SL", struct.pack("<i", number))
        + _element(0x0048, 0x021F, b"SL", struct.pack("<i", number))
    )
    return _item(
        _sequence(0x0048, 0x021A, _item(position, lengths=lengths), lengths=lengths),
        lengths=lengths,
    )


def _element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def _sequence(group: int, number: int, content: bytes, *, lengths: bool) -> bytes:
    head = struct.pack("<HH2sHI", group, number, b"SQ", 0, len(content) if lengths else UNDEFINED)
    return head + content + (b"" if lengths else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def _item(content: bytes, *, lengths: bool) -> bytes:
    head = struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if lengths else UNDEFINED)
    return head + content + (b"" if lengths else struct.pack("<HHI", 0xFFFE, 0xE00D, 0))
