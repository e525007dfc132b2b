"""Files whose values, encodings and pixels are as no scanner should write them."""

import struct

from anonymizer.part10.elements import Element, encode
from tests.anonymizer import planted
from tests.anonymizer.bad_bytes import (
    CONTEXT,
    CUT,
    FRAMES,
    IMPLICIT,
    WORD,
    Case,
    deflated,
    extended,
    item,
    items_of,
    native,
    pixels,
    raw,
    rgb,
    sequence,
    slide,
    spliced,
    text,
    with_table,
)
from tests.anonymizer.planted import Canaries, content, implicit

ICON = Element(
    0x00880200,
    "SQ",
    items=((Element(0x00280010, "US", b"\1\0"), Element(0x7FE00010, "OB", WORD)),),
)

VALUES: list[Case] = [
    ("unknown value representation", "refused", lambda: spliced(raw(CONTEXT, b"ZZ", 10, WORD))),
    ("VR of zeros", "refused", lambda: spliced(raw(CONTEXT, b"\0\0", 10, WORD))),
    ("name as OB", "done", lambda: text(0x00100010, "OB", WORD)),
    ("name as SQ", "refused", lambda: spliced(raw(0x00100010, b"SQ", 10, WORD), at=0x00100010)),
    ("sequence as LO", "refused", lambda: spliced(raw(0x00400560, b"LO", 10, WORD), at=0x00400560)),
    (
        "issuer as numbers of odd bytes",
        "refused",
        lambda: spliced(raw(0x00400513, b"FD", 10, WORD), at=0x00400513),
    ),
    ("rows as text", "refused", lambda: text(0x00280010, "LO", WORD)),
    ("frames as text", "refused", lambda: text(0x00280008, "IS", WORD)),
    ("a billion frames", "refused", lambda: text(0x00280008, "IS", b"1000000000")),
    ("minus one frames", "refused", lambda: text(0x00280008, "IS", b"-1")),
    ("UID that is a name", "done", lambda: text(0x0020000E, "UI", WORD)),
    ("study UID that is a name", "done", lambda: text(0x0020000D, "UI", WORD)),
    ("dates that are none", "done", lambda: text(0x00080020, "DA", b"99999999")),
    ("date that is a name", "done", lambda: text(0x00080020, "DA", WORD)),
    ("date before the common era", "done", lambda: text(0x0008002A, "DT", b"-0044031512")),
    ("the first day", "done", lambda: text(0x00080020, "DA", b"00010101")),
    ("invalid UTF-8", "done", lambda: text(0x00100010, "PN", b"\xc3\x28\xa0\xff^" + WORD)),
    (
        "text with NUL and control characters",
        "done",
        lambda: text(0x00100010, "PN", b"\0\x01\x1b\x7f\r\n" + WORD),
    ),
    (
        "unknown character set",
        "done",
        lambda: spliced(raw(0x00080005, b"CS", 10, WORD), at=0x00080005),
    ),
    (
        "character set of 60,000 values",
        "done",
        lambda: spliced(
            raw(0x00080005, b"CS", 60_000, b"ISO_IR 192\\" * 5454 + b"ISO_I "), at=0x00080005
        ),
    ),
    (
        "escape sequences that lead nowhere",
        "done",
        lambda: text(0x00100010, "PN", b"\x1b$B\x1b(\x1b\x1b$)" + WORD),
    ),
    (
        "everything empty",
        "refused",
        lambda: content(
            encode(
                [
                    Element(one.tag, one.vr, b"", () if one.items is not None else None)
                    for one in planted.slim(Canaries())
                ]
            ),
            pixels(),
        ),
    ),
    (
        "private sequence in UN",
        "done",
        lambda: spliced(
            sequence(item(implicit([Element(0x00100010, "PN", WORD)])), tag=0x00411001, vr=b"UN"),
            at=0x00411001,
        ),
    ),
    (
        "code value of a megabyte",
        "done",
        lambda: spliced(sequence(item(encode([Element(0x00080119, "UC", WORD * 100_000)])))),
    ),
    ("60,000 values", "done", lambda: text(0x00080080, "LO", b"A\\" * 30_000 + WORD)),
    ("UT of 800 kB", "done", lambda: text(0x00400602, "UT", WORD * 80_000)),
    (
        "a hundred thousand words",
        "done",
        lambda: text(0x00400602, "UT", b" ".join(b"W%07d" % n for n in range(100_000))),
    ),
    ("patient number of 65,000", "done", lambda: text(0x00100020, "LO", WORD * 6_500)),
    ("two patient numbers", "done", lambda: text(0x00100020, "LO", b"CANARY1\\CANARY2")),
]
SYNTAXES: list[Case] = [
    ("implicit VR", "done", lambda: native(implicit(rgb()), syntax=IMPLICIT, explicit=False)),
    (
        "explicit VR under implicit syntax",
        "refused",
        lambda: native(encode(rgb()), syntax=IMPLICIT, explicit=True),
    ),
    (
        "implicit VR under explicit syntax",
        "refused",
        lambda: native(implicit(rgb()), syntax=b"1.2.840.10008.1.2.1", explicit=False),
    ),
    (
        "70,000 characters in LO",
        "done",
        lambda: native(
            implicit(rgb(Element(0x00081040, "LO", WORD * 7000))), syntax=IMPLICIT, explicit=False
        ),
    ),
    ("deflated", "refused", deflated),
    (
        "big endian",
        "refused",
        lambda: native(encode(rgb()), syntax=b"1.2.840.10008.1.2.2", explicit=True),
    ),
    (
        "syntax that is a name",
        "refused",
        lambda: content(encode(planted.slim(Canaries())), pixels(), syntax=WORD),
    ),
    (
        "video",
        "refused",
        lambda: content(
            encode(planted.slim(Canaries())), pixels(), syntax=b"1.2.840.10008.1.2.4.102"
        ),
    ),
    (
        "JPEG frames said to be native",
        "refused",
        lambda: content(encode(rgb()), pixels(), syntax=b"1.2.840.10008.1.2.1"),
    ),
    (
        "native frames said to be JPEG",
        "refused",
        lambda: native(encode(rgb()), syntax=planted.JPEG_BASELINE, explicit=True),
    ),
    (
        "JPEG frames said to be RLE",
        "refused",
        lambda: content(encode(planted.slim(Canaries())), pixels(), syntax=b"1.2.840.10008.1.2.5"),
    ),
    (
        "JPEG frames said to be JPEG 2000",
        "done",
        lambda: content(
            encode(planted.slim(Canaries())), pixels(), syntax=b"1.2.840.10008.1.2.4.90"
        ),
    ),
]
PIXELS: list[Case] = [
    ("icon with pixels", "done", lambda: slide(ICON)),
    (
        "pixels in the functional groups",
        "done",
        lambda: slide(
            Element(
                0x52009229,
                "SQ",
                items=((Element(0x7FE00010, "OB", WORD), *planted.slim(Canaries())[-1].items[0]),),
            )
        ),
    ),
    (
        "Pixel Data twice",
        "done",
        lambda: content(encode(planted.slim(Canaries())), pixels() + pixels()),
    ),
    (
        "float pixels",
        "refused",
        lambda: spliced(raw(0x7FE00008, b"OF", 4, b"\0" * 4), at=0x7FE00008),
    ),
    ("a frame missing", "refused", lambda: content(encode(planted.slim(Canaries())), pixels(3))),
    ("a frame too many", "refused", lambda: content(encode(planted.slim(Canaries())), pixels(5))),
    ("no frames", "refused", lambda: content(encode(planted.slim(Canaries())), pixels(0))),
    ("empty frames", "refused", lambda: with_table(b"", items_of([b""] * 4))),
    ("a cut codestream", "refused", lambda: with_table(b"", items_of(CUT))),
    ("frames that are text", "refused", lambda: with_table(b"", items_of([WORD * 20] * 4))),
    (
        "offset table that lies",
        "done",
        lambda: with_table(struct.pack("<4I", 1, 2, 3, 4), items_of(FRAMES)),
    ),
    ("offset table of odd length", "done", lambda: with_table(b"\1\2\3\4\5\6", items_of(FRAMES))),
    (
        "offset table of odd length and fragments",
        "refused",
        lambda: with_table(b"\1\2\3\4\5\6", items_of([*FRAMES, WORD])),
    ),
    (
        "offset table that lies over fragments",
        "refused",
        lambda: with_table(
            struct.pack("<4I", 0, 2, 3, 4),
            items_of([FRAMES[0][:800], FRAMES[0][800:], *FRAMES[1:]]),
        ),
    ),
    (
        "extended table that lies",
        "done",
        lambda: extended([9, 9, 9, 9], [1, 1, 1, 1], items_of(FRAMES)),
    ),
    ("extended table of two frames", "done", lambda: extended([0, 1], [1, 1], items_of(FRAMES))),
    ("100,000 empty fragments", "refused", lambda: with_table(b"", item() * 100_000)),
    (
        "pixels never ended",
        "refused",
        lambda: content(encode(planted.slim(Canaries())), pixels()[:-8]),
    ),
]

CASES = (*VALUES, *SYNTAXES, *PIXELS)
