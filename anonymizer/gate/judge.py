"""Judging the data sets of an output: every attribute, at every depth, by the rule of its role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from anonymizer.gate.conformity import missing, place_of, present_in
from anonymizer.gate.findings import Check, Judged, fault, leftover
from anonymizer.gate.forms import has_form, is_dummy
from anonymizer.gate.looking import find_in
from anonymizer.gate.marks import MARKS, is_our_equipment
from anonymizer.gate.sought import Needles
from anonymizer.gate.spellings import words_of
from anonymizer.gate.tree import Piece, items_of
from anonymizer.gate.value_judge import ValueJudge
from anonymizer.part10.elements import PIXEL_VRS, STRING_VRS
from anonymizer.pixels.frames import EXTENDED_LENGTHS, EXTENDED_OFFSETS
from anonymizer.profile.decide import Action, Decision, Profile
from anonymizer.profile.iod import Attribute, Shape
from anonymizer.rewrite.codes import known_meaning

_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_CHARSET = 0x00080005
_EQUIPMENT = "ContributingEquipmentSequence"
_UNICODE = b"ISO_IR 192"
_SAME_VR = ({"US", "SS"}, {"OB", "OW"})
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))
_PADDING = b" \0"
_CREATORS = range(0x10, 0x100)
_NEVER, _FAMILIES = frozenset((0x0000, 0x0002, 0x0004)), frozenset((0x50, 0x60))
_GENERIC = Decision(action=Action.CONTENT, rule="E.3.4", reason="by its value representation")
_WITH_THE_FRAMES = frozenset((*PIXEL_VRS, EXTENDED_OFFSETS, EXTENDED_LENGTHS))
"""Written with the frames, and checked with them."""
_KEPT = Decision(action=Action.KEEP, rule="an option", reason="kept as it was")
_NUMBERS = frozenset(("AT", "DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What is known of the data set that holds an attribute."""

    shape: Shape | None
    """None where the standard leaves the contents open, as in content trees."""
    path: str
    is_kept: bool = False
    """Whether an option keeps the whole sequence as it was."""


class Judge:
    """Judges one output.

    Parameters
    ----------
    needles
        What must not be found.
    profile
        Rules that were to be followed.
    judged
        Counts what was judged.
    """

    def __init__(self, needles: Needles, profile: Profile, judged: Judged) -> None:
        self._needles = needles
        self._profile = profile
        self._judged = judged
        self._values = ValueJudge(needles, judged)
        self._is_unicode = False
        self._seen: set[tuple[str, str, bytes]] = set()
        self._decisions: dict[tuple[int, Attribute | None], Decision] = {}

    def object(self, pieces: Sequence[Piece], shape: Shape) -> None:
        """Judge a whole object.

        Raises
        ------
        IdentityDoubt
            Something of the input is still there, or something that has no business to be.
        ValueError, struct.error
            A sequence is damaged.
        """
        own = {tag: value for tag, _, value in pieces}
        charset = own.get(_CHARSET, b"").strip(_PADDING)
        if charset not in (b"", _UNICODE):
            raise fault(Check.RULE, "SpecificCharacterSet", "is not ours", "slide rule")
        self._is_unicode = charset == _UNICODE
        named = [one for one in pieces if one[0] not in MARKS and one[0] != _CHARSET]
        self._data_set(named, Holder(shape=shape, path=""), present=pieces)

    def _data_set(
        self, pieces: Sequence[Piece], holder: Holder, present: Sequence[Piece] | None = None
    ) -> None:
        if holder.shape is not None and not holder.shape.is_code:
            self._check_types(present or pieces, holder.shape, holder.path)
        creators = {tag: value for tag, _, value in pieces if (tag >> 16) & 1}
        for tag, vr, value in pieces:
            if not holder.path and tag in _WITH_THE_FRAMES:
                continue
            place = place_of(holder.path, tag)
            attribute = self._attribute(tag, vr, holder)
            decision = self._decision(tag, attribute, holder, creators)
            if decision.action is Action.REMOVE:
                check = Check.PRIVATE if (tag >> 16) & 1 else Check.RULE
                self._refuse(check, place, _readable(vr, value), decision)
            if vr == "SQ":
                self._sequence(place, value, decision, attribute, holder)
            else:
                self._leaf(place, (tag, vr, value), decision, attribute)

    def _attribute(self, tag: int, vr: str, holder: Holder) -> Attribute | None:
        if holder.shape is None or (tag >> 16) & 1:
            return None
        return holder.shape.attributes.get(tag) or self._profile.outside(tag, vr)

    def _decision(
        self,
        tag: int,
        attribute: Attribute | None,
        holder: Holder,
        creators: Mapping[int, bytes],
    ) -> Decision:
        self._judged.counts[Check.RULE] += 1
        if (tag >> 16) & 1:
            self._judged.counts[Check.PRIVATE] += 1
            if self._is_safe_private(tag, creators):
                return _KEPT
        elif holder.is_kept:
            return _KEPT
        elif holder.shape is None and tag >> 16 not in _NEVER and tag >> 24 not in _FAMILIES:
            return _GENERIC
        known = self._decisions.get((tag, attribute))
        if known is None:
            known = self._decisions[tag, attribute] = self._profile.decide(tag, attribute)
        return known

    def _check_types(self, pieces: Sequence[Piece], shape: Shape, path: str) -> None:
        self._judged.counts[Check.TYPE] += 1
        for place in missing(shape, present_in(pieces), path):
            if place not in self._needles.lacking and not self._goes(place, shape, path):
                raise fault(Check.TYPE, place, "lacks what its Type asks for", "PS3.5 7.4")

    def _goes(self, place: str, shape: Shape, path: str) -> bool:
        """Whether a rule takes an attribute away though its IOD asks for it, as in trials."""
        return any(
            self._profile.decide(tag, attribute).action in (Action.REMOVE, Action.TREE)
            for tag, attribute in shape.attributes.items()
            if place_of(path, tag) == place
        )

    def _is_safe_private(self, tag: int, creators: Mapping[int, bytes]) -> bool:
        """Whether a private attribute is known to be safe, or names whose block has such ones."""
        if tag & 0xFFFF in _CREATORS:
            blocks = {one: one & 0xFFFF0000 | (one & 0xFFFF) >> 8 for one in creators}
            inside = [one for one, block in blocks.items() if block == tag and one != tag]
            return any(self._is_safe_private(one, creators) for one in inside)
        block = tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8
        creator = creators.get(block, b"").decode("ascii", "replace").strip(" \0")
        return bool(creator) and self._profile.safe_private(creator, tag) is not None

    def _leaf(
        self, place: str, piece: Piece, decision: Decision, attribute: Attribute | None
    ) -> None:
        _, vr, raw = piece
        if vr not in _NUMBERS:
            if (place, vr, raw) in self._seen:
                return
            self._seen.add((place, vr, raw))
        if attribute is not None and vr != attribute.vr and {vr, attribute.vr} not in _SAME_VR:
            raise fault(Check.VR, place, "has another VR than in the IOD", "PS3.6")
        if vr in STRING_VRS:
            self._text(place, piece, decision)
        elif raw:
            self._values.binary(place, vr, raw, decision)

    def _text(self, place: str, piece: Piece, decision: Decision) -> None:
        tag, vr, raw = piece
        for value in filter(None, self._texts(place, vr, raw)):
            if not is_dummy(value, vr) and not has_form(value, decision, self._needles):
                self._refuse(Check.RULE, place, value, decision)
            self._values.text(place, tag, vr, value, decision)

    def _refuse(self, check: Check, place: str, value: str, decision: Decision) -> NoReturn:
        """Refuse a text, and say where it comes from when that is known."""
        origin = find_in(value, self._needles)
        if origin is not None:
            raise leftover(check, place, origin)
        raise fault(check, place, "is not what its rule makes of it", decision.rule)

    def _texts(self, place: str, vr: str, raw: bytes) -> list[str]:
        text = raw.strip(_PADDING)
        if b"\x1b" in text or not (text.isascii() or self._is_unicode):
            raise fault(Check.TEXT, place, "has letters of no character set", "PS3.5 6.1")
        whole = text.decode("utf-8")
        return [whole] if vr in _ONE_VALUE else [one.strip(" \0") for one in whole.split("\\")]

    def _sequence(
        self,
        place: str,
        raw: bytes,
        decision: Decision,
        attribute: Attribute | None,
        holder: Holder,
    ) -> None:
        action, items = decision.action, items_of(raw)
        if action in (Action.EMPTY, Action.DUMMY) and any(items) and not _is_unknown(items):
            raise fault(Check.RULE, place, "is not empty", decision.rule)
        is_kept = holder.is_kept or action is Action.KEEP
        inner = attribute.items if attribute and action is Action.RECURSE else None
        for item in items:
            if place == _EQUIPMENT and is_our_equipment(item):
                continue  # a mark of ours, which no rule changes
            if not is_kept and any(tag == _MEANING for tag, _, _ in item):
                self._code(place, item)
            else:
                self._data_set(item, Holder(shape=inner, path=place, is_kept=is_kept))

    def _code(self, place: str, item: Sequence[Piece]) -> None:
        known = {tag: value.strip(_PADDING).decode("latin-1") for tag, _, value in item}
        scheme, value = known.get(_SCHEME, ""), known.get(_CODE_VALUE, "")
        if known.keys() != {_SCHEME, _CODE_VALUE, _MEANING} or (
            known_meaning(scheme, value) != known[_MEANING]
        ):
            raise fault(Check.CODE, place, "holds a code that is not of the table", "E.3.4")
        self._judged.saw(Check.CODE, words_of(" ".join(known.values())))


def _readable(vr: str, value: bytes) -> str:
    return value.strip(_PADDING).decode("utf-8", "replace") if vr in STRING_VRS else ""


def _is_unknown(items: Sequence[Sequence[Piece]]) -> bool:
    """Whether a sequence that must have an item has one that says nothing."""
    return len(items) == 1 and any(tag == _CODE_VALUE for tag, _, _ in items[0])
