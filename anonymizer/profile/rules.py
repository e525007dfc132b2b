"""Layers of the profile: what objects never keep, rules for slides, Table E.1-1, and the VR.

Every function takes the names of the options that are in use.
"""

from anonymizer.profile.action import Action, Decision, removed
from anonymizer.profile.iod import Attribute
from anonymizer.profile.options import CLEAN_GRAPHICS, MODIFIED_DATES, TEMPORAL, temporal_of
from anonymizer.profile.table import Row, slide_rule_of

_NUMBERS = frozenset(("AT", "DS", "FD", "FL", "IS", "OV", "SL", "SS", "SV", "UL", "US", "UV"))
DATES = {"DA": Action.SHIFT, "DT": Action.SHIFT, "TM": Action.TIME}
_FAMILIES = (0x50, 0x60)  # curves and overlays, (50xx,eeee) and (60xx,eeee)
_FOREIGN_GROUPS = frozenset((0x0000, 0x0002, 0x0004))
_ACTIONS = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}
_GRAPHIC_ANNOTATION = 0x00700001


def never(tag: int) -> Decision | None:
    """Remove what no object needs and no option keeps; None for all else."""
    group = tag >> 16
    if group & 1:
        return removed("E.1-1 X", "private")
    if group >> 8 in _FAMILIES:
        return removed("E.1-1 X", "curve or overlay")
    if group in _FOREIGN_GROUPS:
        return removed("E.1.1", "belongs to a file or a DICOMDIR, not to an object")
    if tag & 0xFFFF == 0:
        return removed("PS3.5 7.2", "group length, retired")
    return None


def by_slide_rule(options: tuple[str, ...], tag: int) -> Decision | None:
    """Decide by the rules for slides; None when they do not name the attribute."""
    rule = slide_rule_of(tag)
    if rule is None or rule.unless in options:
        return None
    return Decision(
        action=Action(rule.action), rule="slide rule", reason=rule.why, detail=rule.detail
    )


def by_row(options: tuple[str, ...], row: Row, tag: int, attribute: Attribute) -> Decision:
    """Decide by a row of Table E.1-1: the column of an option that keeps, else the code."""
    letter = row.letter(attribute.type)
    rule = f"E.1-1 {row.code}"
    if tag == _GRAPHIC_ANNOTATION:
        return _graphics(options, rule)
    if MODIFIED_DATES in row.options and attribute.vr in DATES:
        return dated(options, attribute, rule, letter)
    for option in options:
        mark = row.options.get(option)
        if mark == "K" and option not in TEMPORAL:
            return retained(attribute, f"{rule}, {option} K")
    action = _ACTIONS[letter]
    if letter == "X" and attribute.items is None:  # the IOD would miss it
        action = {"1": Action.DUMMY, "2": Action.EMPTY}.get(attribute.type, action)
    if attribute.items is not None and action in (Action.DUMMY, Action.UID):
        action = _inside(attribute)
    return Decision(action=action, rule=rule, reason=f"{row.code} at Type {attribute.type}")


def _graphics(options: tuple[str, ...], rule: str) -> Decision:
    """Keep the shapes of a presentation state without its texts, or nothing: lines can spell."""
    if CLEAN_GRAPHICS in options:
        rule = f"{rule}, {CLEAN_GRAPHICS} C"
        return Decision(action=Action.RECURSE, rule=rule, reason="cleaned item by item")
    return removed(rule, "its module goes whole")


def retained(attribute: Attribute, rule: str) -> Decision:
    """Keep a value; a sequence is cleaned item by item, save that a code says what is kept."""
    if attribute.vr == "AS":
        return Decision(action=Action.AGE, rule=rule, reason="retained, above 89 years as 90")
    if attribute.items is not None and not attribute.items.is_code:
        return Decision(action=Action.RECURSE, rule=rule, reason="retained item by item")
    return Decision(action=Action.KEEP, rule=rule, reason="retained")


def dated(options: tuple[str, ...], attribute: Attribute, rule: str, letter: str) -> Decision:
    """Decide about a date or time by the temporal option; `letter` is the code without one."""
    temporal = temporal_of(options)
    if temporal == "REMOVED":
        return Decision(action=_ACTIONS[letter], rule=rule, reason="no temporal option")
    if temporal == "UNMODIFIED":
        return Decision(action=Action.KEEP, rule=f"{rule}, full dates K", reason="date or time")
    action = DATES[attribute.vr]
    return Decision(action=action, rule=f"{rule}, modified dates C", reason="date or time")


def by_vr(options: tuple[str, ...], attribute: Attribute) -> Decision:
    """Decide about what no row names: a VR that can hold free text goes."""
    rule = f"not in E.1-1, VR {attribute.vr}"
    letter = {"1": "D", "2": "Z"}.get(attribute.type[0], "X")
    if attribute.items is not None:
        return Decision(action=_inside(attribute), rule=rule, reason="cleaned item by item")
    if attribute.vr in DATES:
        return dated(options, attribute, rule, letter)
    if attribute.vr == "UI":
        return Decision(action=Action.UID, rule=rule, reason="registered UIDs stay")
    if attribute.vr in _NUMBERS or attribute.vr == "CS":
        return Decision(action=Action.KEEP, rule=rule, reason="holds no free text")
    return Decision(action=_ACTIONS[letter], rule=rule, reason="may hold free text")


def _inside(attribute: Attribute) -> Action:
    return Action.CODES if attribute.items and attribute.items.is_code else Action.RECURSE
