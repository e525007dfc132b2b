"""What every de-identified file must say of itself, and what must not stand around its data set."""

from collections.abc import Sequence

from anonymizer.gate.findings import Check, Judged, fault
from anonymizer.gate.spellings import words_of
from anonymizer.gate.tree import Output, Piece, items_of
from anonymizer.profile.decide import Profile
from anonymizer.profile.options import CLEAN_PIXEL_DATA
from anonymizer.rewrite.codes import known_meaning
from anonymizer.rewrite.marks import SITE_SCHEME
from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, __version__

MARKS = frozenset((0x00120062, 0x00120063, 0x00120064, 0x00280303))
"""Attributes at the top level that are judged here and nowhere else."""

_EMPTY_PREAMBLE = bytes(128)
_CONTRIBUTING_EQUIPMENT = 0x0018A001
_BURNED_IN_ANNOTATION, _ROWS = 0x00280301, 0x00280010
_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00080016, 0x00080018
_META_SOP_CLASS_UID, _META_SOP_INSTANCE_UID = 0x00020002, 0x00020003
_META = frozenset((0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012))
_VERSION_NAME = 0x00020013
_IMPLEMENTATION = 0x00020012
_EQUIPMENT = {
    0x00080070: b"Coverslip",
    0x00081090: b"Coverslip",
    0x00181020: __version__.encode("ascii"),
}
_PURPOSE, _CODE_VALUE, _SCHEME, _MEANING = 0x0040A170, 0x00080100, 0x00080102, 0x00080104
_DE_IDENTIFYING_EQUIPMENT = "109104"
_PADDING = b" \0"


def check_frame(output: Output, judged: Judged) -> None:
    """Check preamble and file meta information (PS3.10 7.1).

    Raises
    ------
    IdentityDoubt
        They are not as we write them.
    """
    if output.preamble != _EMPTY_PREAMBLE:
        raise fault(Check.PREAMBLE, "The preamble", "is not empty", "E.1.1")
    judged.saw(Check.PREAMBLE)
    top = _values(output.pieces)
    expected = {
        _META_SOP_CLASS_UID: top.get(_SOP_CLASS_UID, b""),
        _META_SOP_INSTANCE_UID: top.get(_SOP_INSTANCE_UID, b""),
        _IMPLEMENTATION: IMPLEMENTATION_CLASS_UID.encode(),
    }
    version = output.meta.get(_VERSION_NAME, IMPLEMENTATION_VERSION_NAME)
    right = all(output.meta.get(tag, "").encode() == value for tag, value in expected.items())
    if (
        output.meta.keys() - _META - {_VERSION_NAME}
        or not right
        or version.strip() != (IMPLEMENTATION_VERSION_NAME)
    ):
        raise fault(Check.FILE_META, "The file meta information", "is not ours", "E.1.1")
    judged.saw(Check.FILE_META)


def check_marks(pieces: Sequence[Piece], profile: Profile, judged: Judged) -> None:
    """Check what the object says about its de-identification (PS3.15 E.1.1, PS3.3 C.7.1.1).

    Raises
    ------
    IdentityDoubt
        It does not say so, or not what was done.
    """
    top = _values(pieces)
    codes = items_of(top.get(0x00120064, b""))
    wanted = {
        0x00120062: b"YES",
        0x00120063: "\\".join(profile.method_text).encode("ascii"),
        0x00280303: profile.temporal.encode("ascii"),
    }
    right = all(top.get(tag) == value for tag, value in wanted.items())
    named = [
        *(("DCM", code, known_meaning("DCM", code)) for code in profile.method_codes),
        *((SITE_SCHEME, name, f"Site option {name}") for name in profile.site_rules.options),
    ]
    if not right or [_code(item) for item in codes] != named:
        raise fault(Check.MARKS, "The marks", "are not those of what was done", "E.1.1")
    if not any(is_our_equipment(item) for item in items_of(top.get(_CONTRIBUTING_EQUIPMENT, b""))):
        raise fault(Check.MARKS, "The marks", "do not name who made it", "E.1.1")
    looked = CLEAN_PIXEL_DATA in profile.options and _ROWS in top
    said = (b"NO",) if looked else (b"NO", b"")
    if top.get(_BURNED_IN_ANNOTATION, b"" if looked else b"NO") not in said:
        raise fault(Check.MARKS, "BurnedInAnnotation", "is not NO", "E.3.1")
    judged.saw(Check.MARKS, words_of(" ".join(profile.method_text)))
    for code in profile.method_codes:
        judged.saw(Check.CODE, [*words_of(known_meaning("DCM", code) or ""), code, "dcm"])
    judged.harmless.update(words_of(SITE_SCHEME))
    judged.harmless.update(
        ("yes", "coverslip", *words_of(__version__), *words_of(profile.temporal))
    )


def _values(pieces: Sequence[Piece]) -> dict[int, bytes]:
    return {tag: value if vr == "SQ" else value.strip(_PADDING) for tag, vr, value in pieces}


def _code(item: Sequence[Piece]) -> tuple[str, str, str]:
    known = _values(item)
    scheme, value, meaning = (known.get(tag, b"") for tag in (_SCHEME, _CODE_VALUE, _MEANING))
    return scheme.decode("latin-1"), value.decode("latin-1"), meaning.decode("latin-1")


def is_our_equipment(item: Sequence[Piece]) -> bool:
    """Whether an item of Contributing Equipment Sequence is the one that we add, and no more."""
    known = _values(item)
    purposes = [_code(purpose) for purpose in items_of(known.get(_PURPOSE, b""))]
    wanted = known_meaning("DCM", _DE_IDENTIFYING_EQUIPMENT)
    return {tag: value for tag, value in known.items() if tag != _PURPOSE} == _EQUIPMENT and (
        purposes == [("DCM", _DE_IDENTIFYING_EQUIPMENT, wanted)]
    )
