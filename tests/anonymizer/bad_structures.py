"""Files whose sequences, items and lengths are as no scanner should write them."""

from anonymizer.part10.elements import element_header, encode
from tests.anonymizer import planted
from tests.anonymizer.bad_bytes import (
    CONTEXT,
    ENDLESS,
    FRAMES,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    WORD,
    Case,
    creators_and_blocks,
    endless,
    item,
    nested,
    pixels,
    private,
    raw,
    rgb,
    sequence,
    slide,
    spliced,
    with_table,
)
from tests.anonymizer.planted import Canaries, content

NESTING: list[Case] = [
    ("10,000 deep, defined lengths", "refused", lambda: spliced(nested(10_000, defined=True))),
    ("10,000 deep, no lengths", "refused", lambda: spliced(nested(10_000, defined=False))),
    ("10,000 deep in UN", "refused", lambda: spliced(nested(10_000, defined=False, vr=b"UN"))),
    (
        "10,000 deep, private",
        "refused",
        lambda: spliced(nested(10_000, defined=False, tag=0x00411001), at=0x00411001),
    ),
    (
        "10,000 deep among specimens",
        "refused",
        lambda: spliced(nested(10_000, defined=False, tag=0x00400560), at=0x00400560),
    ),
    (
        "10,000 deep, never closed",
        "refused",
        lambda: spliced((raw(CONTEXT, b"SQ", 0xFFFFFFFF) + ITEM + ENDLESS) * 10_000),
    ),
    (
        "2,000 deep in UN of a length",
        "done",
        lambda: spliced(nested(2_000, defined=True, vr=b"UN", tag=0x00411001), at=0x00411001),
    ),
]
LENGTHS: list[Case] = [
    ("UT of 4 GiB", "refused", lambda: spliced(raw(CONTEXT, b"UT", 0xFFFFFFFE, WORD))),
    ("UN of 4 GiB", "refused", lambda: spliced(raw(CONTEXT, b"UN", 0xFFFFFFFE, WORD))),
    ("sequence of 4 GiB", "refused", lambda: spliced(raw(CONTEXT, b"SQ", 0xFFFFFFFE) + item())),
    ("item of 4 GiB", "refused", lambda: spliced(sequence(item(b"", 0xFFFFFFFE)))),
    (
        "item longer than its sequence",
        "refused",
        lambda: spliced(raw(CONTEXT, b"SQ", 8) + item(WORD, 64)),
    ),
    (
        "element longer than its item",
        "refused",
        lambda: spliced(sequence(item(raw(0x00080104, b"LO", 64, WORD)))),
    ),
    ("OB without length", "refused", lambda: spliced(raw(CONTEXT, b"OB", 0xFFFFFFFF) + WORD)),
    ("UT without length", "refused", lambda: spliced(raw(CONTEXT, b"UT", 0xFFFFFFFF) + WORD)),
    (
        "LO of 65,534",
        "refused",
        lambda: content(
            encode(planted.slim(Canaries())[:9]) + raw(CONTEXT, b"LO", 0xFFFE, WORD), b""
        ),
    ),
    ("odd lengths", "done", lambda: spliced(raw(0x00100010, b"PN", 9, WORD[:9]), at=0x00100010)),
    (
        "length of a pixel fragment of 4 GiB",
        "refused",
        lambda: with_table(b"", item(FRAMES[0], 0xFFFFFFFE)),
    ),
    (
        "offset table of 4 GiB",
        "refused",
        lambda: content(
            encode(planted.slim(Canaries())),
            raw(0x7FE00010, b"OB", 0xFFFFFFFF) + item(b"", 0xFFFFFFF0),
        ),
    ),
    (
        "native pixels of 4 GiB",
        "refused",
        lambda: content(
            encode(rgb()),
            element_header(0x7FE00010, "OB", 0xFFFFFFFE) + bytes(64),
            syntax=b"1.2.840.10008.1.2.1",
        ),
    ),
    (
        "file meta of 4 GiB",
        "refused",
        lambda: (
            bytes(128)
            + b"DICM"
            + raw(0x00020000, b"UL", 4, b"\xff" * 4)
            + raw(0x00020102, b"OB", 0xFFFFFFFE, WORD)
        ),
    ),
]
STRUCTURE: list[Case] = [
    ("item end at the top", "refused", lambda: spliced(ITEM_END + bytes(4))),
    ("sequence end at the top", "refused", lambda: spliced(SEQUENCE_END + bytes(4))),
    ("item at the top", "refused", lambda: spliced(item(WORD))),
    ("sequence never ended", "refused", lambda: spliced(sequence(endless(), ended=False))),
    ("item never ended", "refused", lambda: spliced(sequence(ITEM + ENDLESS))),
    ("item end in a sequence", "refused", lambda: spliced(sequence(ITEM_END + bytes(4)))),
    (
        "attribute in place of an item",
        "refused",
        lambda: spliced(sequence(raw(0x00080104, b"LO", 10, WORD))),
    ),
    (
        "item end with a length",
        "done",
        lambda: spliced(sequence(ITEM + ENDLESS + ITEM_END + b"\x10\0\0\0")),
    ),
    (
        "sequence end inside an item of defined length",
        "refused",
        lambda: spliced(sequence(item(SEQUENCE_END + bytes(4)))),
    ),
    ("twice the same attribute", "refused", lambda: spliced(2 * raw(CONTEXT, b"LO", 10, WORD))),
    (
        "twice the same attribute in an item",
        "refused",
        lambda: spliced(sequence(item(2 * raw(0x00080104, b"LO", 10, WORD)))),
    ),
    (
        "attributes out of order",
        "done",
        lambda: spliced(
            raw(0x00100020, b"LO", 10, WORD) + raw(0x00080080, b"LO", 10, WORD), at=0x00100020
        ),
    ),
    ("group lengths", "done", lambda: spliced(raw(0x00400000, b"UL", 4, b"\x7f\0\0\0"))),
    (
        "group lengths that lie",
        "done",
        lambda: spliced(raw(0x00080000, b"UL", 4, b"\xff\xff\xff\xff"), at=0x00080000),
    ),
    (
        "100,000 private attributes",
        "done",
        lambda: spliced(creators_and_blocks(100_000), at=0x00411000),
    ),
    (
        "100,000 times the same private attribute",
        "refused",
        lambda: spliced(private(100_000), at=0x00411000),
    ),
    ("a million empty items", "refused", lambda: spliced(sequence(item() * 1_000_000))),
    ("a million empty endless items", "refused", lambda: spliced(sequence(endless() * 1_000_000))),
    (
        "a million specimens",
        "refused",
        lambda: spliced(sequence(item() * 1_000_000, tag=0x00400560), at=0x00400560),
    ),
    (
        "90,000 issuers",
        "done",
        lambda: spliced(sequence(item() * 90_000, tag=0x00400513), at=0x00400513),
    ),
    (
        "100 MB of zeros",
        "refused",
        lambda: content(encode(planted.slim(Canaries())), bytes(100 << 20)),
    ),
    ("nothing but zeros", "refused", lambda: bytes(1 << 20)),
    ("no data set", "refused", lambda: content(b"", b"")),
    (
        "no file meta",
        "refused",
        lambda: bytes(128) + b"DICM" + encode(planted.slim(Canaries())) + pixels(),
    ),
    ("no preamble", "refused", lambda: slide()[128:]),
]

CASES = (*NESTING, *LENGTHS, *STRUCTURE)
