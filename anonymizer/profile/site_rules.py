"""Rules of the hospital: a TOML file that takes more away, or keeps more under a signed option.

A `[[rule]]` names an attribute, an action and why. Without `option` it can only strengthen the
profile; with `option` and `signed_by` it may keep what the profile takes away, and the option is
written to the report and to every object. A `[[safe_private]]` names one private element that
somebody has looked into (PS3.15 E.3.10).
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_VR,
    keyword_for_tag,
    tag_for_keyword,
)

from anonymizer.profile.options import OPTIONS
from appliance.errors import ConfigError
from appliance.settings.sections import Section

SiteAction = Literal["remove", "empty", "pseudonym", "keep"]

_Words = Annotated[str, Field(min_length=3, max_length=400)]
_OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,15}$")]
_LARGEST_FILE_BYTES: Final = 1 << 20

_STRUCTURE_GROUPS: Final = frozenset((0x0000, 0x0002, 0x0004, 0x0028, 0x5200, 0x7FE0))
_STRUCTURE: Final[Mapping[int, str]] = {
    tag_for_keyword(keyword) or 0: keyword
    for keyword in (
        "SpecificCharacterSet",
        "ImageType",
        "FrameType",
        "SOPClassUID",
        "SOPInstanceUID",
        "ReferencedSOPClassUID",
        "ReferencedSOPInstanceUID",
        "Modality",
        "PatientID",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "DimensionOrganizationUID",
        "ContainerIdentifier",
        "SpecimenIdentifier",
        "TotalPixelMatrixColumns",
        "TotalPixelMatrixRows",
        "OpticalPathIdentifier",
    )
}
_NEVER_KEPT: Final = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "AccessionNumber",
        "IssuerOfPatientID",
        "PatientBirthDateInAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientTelecomInformation",
        "MedicalRecordLocator",
        "MilitaryRank",
        "EncryptedAttributesSequence",
        "OriginalAttributesSequence",
        "PrivateDataElementCharacteristicsSequence",
    )
)
_VRS_WITH_PSEUDONYM: Final = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
_VRS_KEPT: Final = _VRS_WITH_PSEUDONYM | frozenset(
    ("AE", "AS", "CS", "DS", "FD", "FL", "IS", "SL", "SQ", "SS", "UL", "UR", "US")
)
_VRS_OF_PRIVATE: Final = _VRS_KEPT | frozenset(("DA", "DT", "TM", "UI", "SV", "UV", "AT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRule:
    """What the hospital wants done with an attribute, wherever it stands."""

    tag: int
    action: SiteAction
    why: str
    option: str = ""
    """The option under which the rule may keep more than the profile; "" when it may not."""
    signed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafePrivate:
    """A private element that the hospital knows to be safe."""

    creator: str
    group: int
    number: int
    """The low byte of the element number."""
    vr: str
    why: str
    signed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """All rules of one file; two are equal when their files are."""

    digest: str = ""
    """SHA-256 of the file; "" without one."""
    name: str = field(default="", compare=False)
    """Of the file, for the sentences about it."""
    rules: tuple[SiteRule, ...] = field(default=(), compare=False)
    safe_private: tuple[SafePrivate, ...] = field(default=(), compare=False)

    def rule_of(self, tag: int) -> SiteRule | None:
        """Rule for an attribute; None when there is none."""
        return next((rule for rule in self.rules if rule.tag == tag), None)

    def safe_vr(self, creator: str, tag: int) -> str | None:
        """VR of a private element that is known to be safe; None for others."""
        wanted = (creator, tag >> 16, tag & 0xFF)
        return next(
            (one.vr for one in self.safe_private if (one.creator, one.group, one.number) == wanted),
            None,
        )

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options under which something more is kept."""
        return tuple(dict.fromkeys(rule.option for rule in self.rules if rule.option))


NO_RULES: Final = SiteRules()


class _Rule(Section):
    attribute: str
    action: SiteAction
    why: _Words
    option: _OptionName | None = None
    signed_by: _Words | None = None


class _SafePrivate(Section):
    creator: Annotated[str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,63})$")]
    element: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{3}[13579BDFbdf]xx[0-9A-Fa-f]{2}$")]
    vr: str
    why: _Words
    signed_by: _Words


class _File(Section):
    rule: tuple[_Rule, ...] = ()
    safe_private: tuple[_SafePrivate, ...] = ()


def read_site_rules(path: Path) -> SiteRules:
    """Read and check the file of the setting `deidentify.site_rules`.

    Raises
    ------
    ConfigError
        The file is missing or no TOML, or a rule does not fit; the sentence names file and rule.
    """
    try:
        content = path.read_bytes()
        if len(content) > _LARGEST_FILE_BYTES:
            raise ConfigError(f"{path.name} is too large for a file of site rules.")
        file = _File.model_validate(tomllib.loads(content.decode("utf-8")))
    except OSError as error:
        raise ConfigError(f"The site rules {path} cannot be read.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML.") from error
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {_mistake(error)}") from error
    rules = tuple(_checked(path, number, one) for number, one in enumerate(file.rule, start=1))
    _check_unique(path, [rule.tag for rule in rules])
    return SiteRules(
        digest=hashlib.sha256(content).hexdigest(),
        name=path.name,
        rules=rules,
        safe_private=tuple(
            _checked_private(path, number, one)
            for number, one in enumerate(file.safe_private, start=1)
        ),
    )


def _mistake(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    table, number, *keys = (*first["loc"], 0)
    place = f"{table} {int(number) + 1}" if isinstance(number, int) and keys else str(table)
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key {first['loc'][-1]}."
    if first["type"] == "missing":
        return f"{place}: the key {first['loc'][-1]} is missing."
    return f"{place}: {first['loc'][-1]}: {first['msg'].removeprefix('Value error, ')}."


def _checked(path: Path, number: int, rule: _Rule) -> SiteRule:
    place = f"{path.name}: rule {number} ({rule.attribute})"
    tag = _tag_of(place, rule.attribute)
    if tag in _STRUCTURE or tag >> 16 in _STRUCTURE_GROUPS:
        raise ConfigError(f"{place}: the object cannot be read without it; no rule may change it.")
    if (rule.option is None) != (rule.signed_by is None):
        raise ConfigError(f"{place}: option and signed_by go together.")
    if rule.option in OPTIONS:
        raise ConfigError(
            f"{place}: {rule.option} is an option of PS3.15; name it in deidentify.options, or"
            " give this option a name of its own."
        )
    vr = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
    if rule.action == "pseudonym" and vr not in _VRS_WITH_PSEUDONYM:
        raise ConfigError(f"{place}: only a text can have a pseudonym.")
    if rule.action == "keep":
        _check_kept(place, tag, vr, rule.option)
    return SiteRule(
        tag=tag,
        action=rule.action,
        why=rule.why,
        option=rule.option or "",
        signed_by=rule.signed_by or "",
    )


def _check_kept(place: str, tag: int, vr: str, option: str | None) -> None:
    if option is None:
        raise ConfigError(
            f"{place}: a rule that keeps more than the profile needs an option and signed_by."
        )
    if vr in ("DA", "DT", "TM"):
        raise ConfigError(f"{place}: dates are kept or moved together; see deidentify.options.")
    if vr not in _VRS_KEPT or tag in _NEVER_KEPT:
        raise ConfigError(f"{place}: it may name a person or hide anything; no option keeps it.")


def _checked_private(path: Path, number: int, one: _SafePrivate) -> SafePrivate:
    if one.vr not in _VRS_OF_PRIVATE:
        raise ConfigError(
            f"{path.name}: safe_private {number}: nobody can look into a value of VR {one.vr}."
        )
    return SafePrivate(
        creator=one.creator.strip(),
        group=int(one.element[:4], 16),
        number=int(one.element[6:], 16),
        vr=one.vr,
        why=one.why,
        signed_by=one.signed_by,
    )


def _tag_of(place: str, attribute: str) -> int:
    digits = attribute.strip("()").replace(",", "")
    known = tag_for_keyword(attribute)
    if known is not None:
        return int(known)
    try:
        tag = int(digits, 16) if len(digits) == len("ggggeeee") else None
    except ValueError:
        tag = None
    if tag is None:
        near = get_close_matches(attribute, _keywords(), n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ConfigError(f"{place}: no attribute has this keyword or tag{hint}")
    if (tag >> 16) & 1:
        raise ConfigError(f"{place}: a private element; see [[safe_private]].")
    return tag


def _keywords() -> list[str]:
    return [row[4] for row in DicomDictionary.values() if row[4]]


def _check_unique(path: Path, tags: list[int]) -> None:
    for tag in tags:
        if tags.count(tag) > 1:
            name = keyword_for_tag(tag) or f"{tag:08X}"
            raise ConfigError(f"{path.name}: there are two rules for {name}.")
