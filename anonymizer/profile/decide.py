"""The profile: what to do with an attribute, by tag, at any depth, and by which rule.

The first layer that speaks decides, and the last one may overrule it:

1. what objects never need: private and unknown attributes, overlays, curves, foreign groups;
2. `wsi_rules.json`: what Table E.1-1 misses in slides, and the manner where it leaves a choice;
3. `profile_2026d.json`: Table E.1-1 of PS3.15 2026d with the options that are in use (K or C in
   their columns), else its code, resolved by the Type of the attribute in the IOD (E.1-1a);
4. what no row names is kept only when its VR cannot hold free text; dates always move;
5. the hospital's own rules (`site_rules`).

An option that keeps a sequence still has it cleaned item by item. Dates belong to the temporal
option alone: a date that another option would keep moves with the others, for one true date gives
the shift of all away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag

from anonymizer.profile.action import STAYS, Action, Decision, strength
from anonymizer.profile.iod import Attribute, Shape
from anonymizer.profile.options import (
    BASIC_PROFILE,
    CLEAN_PIXEL_DATA,
    DEFAULT_OPTIONS,
    OPTIONS,
    RETAIN_SAFE_PRIVATE,
    RETAIN_UIDS,
    TEMPORAL,
    check_options,
    check_text_is_sought,
    temporal_of,
)
from anonymizer.profile.rules import DATES, by_row, by_slide_rule, by_vr, dated, never, retained
from anonymizer.profile.site_rules import NO_RULES, SiteRule, SiteRules, read_site_rules
from anonymizer.profile.table import EDITION, row_of, safe_private_vr, vocabulary
from appliance.errors import ConfigError
from appliance.settings import Deidentify

__all__ = [
    "DEFAULT_OPTIONS",
    "EDITION",
    "STAYS",
    "Action",
    "Decision",
    "Profile",
    "keyword",
    "profile_in",
    "profile_of",
    "vocabulary",
]


_COLOR_SPACE = 0x00282002
_CODE_SHAPE = Shape({0x00080100: Attribute(vr="SH", type="1C")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The Basic Profile with its options.

    Attributes
    ----------
    options
        Names of the options, as the columns of Table E.1-1 are named (`check_options`).
    site_rules
        Rules of the hospital.
    reviewed_icc_profiles
        ICC profiles that stay as they are, as `sha256:` and hexadecimal digits.
    """

    options: tuple[str, ...] = DEFAULT_OPTIONS
    site_rules: SiteRules = NO_RULES
    reviewed_icc_profiles: tuple[str, ...] = ()

    @property
    def method_codes(self) -> tuple[str, ...]:
        """Codes of CID 7050 for the profile and its options."""
        named = (OPTIONS[option] for option in self.options)
        return (BASIC_PROFILE, *(code for code in named if code is not None))

    @property
    def method_text(self) -> tuple[str, ...]:
        """Values of De-identification Method (0012,0063)."""
        site = (f"Site rules {self.site_rules.digest[:12]}",) if self.site_rules.digest else ()
        options = tuple(f"Site option {name}" for name in self.site_rules.options)
        return ("Coverslip", EDITION, "Basic Profile", *site, *options)

    @property
    def temporal(self) -> str:
        """Value of Longitudinal Temporal Information Modified (PS3.15 E.2, E.3.6)."""
        return temporal_of(self.options)

    @property
    def keeps_uids(self) -> bool:
        """Whether UIDs stay as they are (PS3.15 E.3.9)."""
        return RETAIN_UIDS in self.options

    @property
    def keeps_more(self) -> bool:
        """Whether texts can be in the output that nobody has cleaned."""
        return bool(self.site_rules.options) or any(
            one.startswith("retain_") for one in self.options if one not in TEMPORAL
        )

    def decide(self, tag: int, attribute: Attribute | None) -> Decision:
        """Decide about one attribute.

        Parameters
        ----------
        tag
            Group and element as one number.
        attribute
            What the IOD says of it where it stands; None when the IOD does not have it there.
        """
        return _decide(self, tag, attribute)

    def decide_safe_private(self, attribute: Attribute) -> Decision:
        """Decide about a private element that is known to be safe (PS3.15 E.3.10)."""
        reason = "private, known to be safe"
        rule = "E.3.10"
        if attribute.vr == "UI" and not self.keeps_uids:
            return Decision(action=Action.UID, rule=rule, reason=reason)
        if attribute.vr in DATES:
            return dated(self.options, attribute, rule, "X")
        action = Action.KEEP if attribute.items is None else Action.RECURSE
        return Decision(action=action, rule=rule, reason=reason)

    def safe_private(self, creator: str, tag: int) -> Attribute | None:
        """Tell what is known of a private element that may stay; None for all others.

        Items of a private sequence hold private elements that are known to be safe, or nothing.
        """
        if RETAIN_SAFE_PRIVATE not in self.options:
            return None
        vr = self.site_rules.safe_vr(creator, tag) or safe_private_vr(creator, tag)
        return None if vr is None else _private(vr)

    def outside(self, tag: int, vr: str) -> Attribute | None:
        """Tell what is known of an attribute that the IOD lacks, but an option keeps.

        `vr` is that of the file, which counts when the dictionary is too old for the attribute.
        """
        return _outside(self, tag, vr)

    def keeps(self, tag: int) -> bool:
        """Whether an option or a signed rule keeps this attribute as it was in the input."""
        return _keeps(self, tag)


def profile_of(options: Iterable[str], site_rules: SiteRules | None = None) -> Profile:
    """Make the profile with further options and the hospital's rules.

    Raises
    ------
    ConfigError
        An option is not available or contradicts another, or a rule without an option would keep
        more than the profile does.
    """
    profile = Profile(options=check_options(options))
    for rule in site_rules.rules if site_rules else ():
        _check_stronger(profile, rule, site_rules.name if site_rules else "")
    return Profile(options=profile.options, site_rules=site_rules or NO_RULES)


def profile_in(section: Deidentify) -> Profile:
    """Make the profile that the settings ask for.

    Raises
    ------
    ConfigError
        An option is not available or contradicts another, or a site rule does not fit.
    """
    check_text_is_sought(section.options, section.text_in_pixels)
    rules = None if section.site_rules is None else read_site_rules(section.site_rules)
    removes = (CLEAN_PIXEL_DATA,) if section.text_in_pixels == "remove" else ()
    profile = profile_of((*section.options, *removes), rules)
    return replace(profile, reviewed_icc_profiles=section.reviewed_icc_profiles)


def keyword(tag: int) -> str:
    """Name of an attribute: its keyword, or the tag when it has none."""
    if not (tag >> 16) & 1 and dictionary_has_tag(tag):
        return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(maxsize=1 << 16)  # tags come from files, attributes from tables
def _decide(profile: Profile, tag: int, attribute: Attribute | None) -> Decision:
    gone = never(tag)
    if gone is not None:
        return gone
    row = row_of(tag)
    if attribute is None:
        rule = f"E.1-1 {row.code}" if row else "unknown"
        return Decision(action=Action.REMOVE, rule=rule, reason="not part of such an object")
    decision = by_slide_rule(profile.options, tag)
    if decision is None:
        decision = (
            by_vr(profile.options, attribute)
            if row is None
            else by_row(profile.options, row, tag, attribute)
        )
    if profile.reviewed_icc_profiles:
        decision = _with_reviewed_profiles(decision, profile.reviewed_icc_profiles, tag)
    if decision.action is Action.UID and profile.keeps_uids:
        decision = Decision(action=Action.KEEP, rule="E.3.9", reason="UIDs are retained")
    site = profile.site_rules.rule_of(tag)
    return decision if site is None else _at_site(decision, site, attribute)


def _with_reviewed_profiles(decision: Decision, reviewed: tuple[str, ...], tag: int) -> Decision:
    """Let reviewed ICC profiles stay; then nothing can say for all of them what they are."""
    if decision.action is Action.SRGB:
        words = "a profile that was reviewed stays, any other becomes sRGB"
        return replace(decision, detail=" ".join(reviewed), reason=words)
    if tag == _COLOR_SPACE:
        return replace(decision, action=Action.REMOVE, detail="")
    return decision


def _check_stronger(profile: Profile, site: SiteRule, file: str) -> None:
    """Refuse a rule that would never do anything: the profile takes more away at every Type."""
    vr = dictionary_VR(site.tag) if dictionary_has_tag(site.tag) else "UN"
    kinds = [Attribute(vr=vr, type=kind) for kind in ("1", "2", "3")]
    if site.option or any(
        strength(_site_action(site, one)) >= strength(profile.decide(site.tag, one).action)
        for one in kinds
    ):
        return
    raise ConfigError(
        f"{file}: the rule for {keyword(site.tag)} keeps more than the profile does; it needs an"
        " option and signed_by."
    )


def _at_site(decision: Decision, site: SiteRule, attribute: Attribute) -> Decision:
    wanted = _site_action(site, attribute)
    if not site.option and strength(wanted) <= strength(decision.action):
        return decision
    rule = f"site rule, option {site.option}" if site.option else "site rule"
    detail = "other" if wanted is Action.PSEUDONYM else ""
    return Decision(action=wanted, rule=rule, reason=site.why, detail=detail)


def _site_action(site: SiteRule, attribute: Attribute) -> Action:
    """Give the action of a rule, as far as the Type of the attribute lets it go.

    A sequence that must have items (Type 1) cannot go; the profile cleans them.
    """
    if site.action == "pseudonym":
        return Action.PSEUDONYM
    if site.action == "keep":
        return retained(attribute, "").action
    if attribute.items is not None and not attribute.items.is_code and attribute.type[0] == "1":
        return Action.RECURSE if attribute.type == "1" else Action.REMOVE
    least = {"1": Action.DUMMY, "2": Action.EMPTY}.get(attribute.type[0])
    return least or (Action.EMPTY if site.action == "empty" else Action.REMOVE)


@lru_cache(maxsize=1 << 16)
def _keeps(profile: Profile, tag: int) -> bool:
    rule = profile.site_rules.rule_of(tag)
    if rule is not None and rule.action == "keep":
        return True
    row = row_of(tag)
    ours = by_slide_rule(profile.options, tag)
    if never(tag) is not None or row is None:
        return False
    if ours is not None and ours.action is Action.REMOVE:
        return False
    return any(row.options.get(option) == "K" for option in profile.options)


@lru_cache(maxsize=1 << 16)
def _outside(profile: Profile, tag: int, vr: str) -> Attribute | None:
    if not profile.keeps(tag):
        return None
    known = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else vr
    if known != "SQ":
        return Attribute(vr=known, type="3")
    items = _CODE_SHAPE if keyword(tag).endswith("CodeSequence") else Shape()
    return Attribute(vr="SQ", type="3", items=items)


@cache
def _private(vr: str) -> Attribute:
    return Attribute(vr=vr, type="3", items=Shape() if vr == "SQ" else None)
