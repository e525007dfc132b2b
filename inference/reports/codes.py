"""The coded concepts of our reports: standard ones where they exist, 99COVERSLIP where not.

PS3.16 has no code for a fold, a pen mark, an air bubble or a region out of focus. The standard type
SCT 47973001 "Artifact" stands first, so that every reader understands that much; the kind follows
as a private code, whose scheme the object identifies (PS3.3 C.12.1.1.7, Coding Scheme
Identification). Blood has a standard code of its own and needs no such words.
"""

from collections.abc import Mapping

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from appliance.line import Verdict
from appliance.slides.classes import SlideClass

PRIVATE_SCHEME = "99COVERSLIP"
PRIVATE_SCHEME_UID = "2.25.195230264866180264716087453014271906315"

TISSUE = Code("85756007", "SCT", "Tissue")
PHYSICAL_OBJECT = Code("260787004", "SCT", "Physical object")
BODY_SUBSTANCE = Code("91720002", "SCT", "Body Substance")
MORPHOLOGY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
BLOOD = Code("87612001", "SCT", "Blood")
ARTIFACT = Code("47973001", "SCT", "Artifact")
AREA = Code("42798000", "SCT", "Area")
SQUARE_MILLIMETRE = Code("mm2", "UCUM", "square millimeter")
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")
PROBABILITY = Code("122157", "DCM", "Probability")
CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
MAXIMUM = Code("56851009", "SCT", "Maximum")
ESTIMATED = Code("414135002", "SCT", "Estimated")
UNCERTAINTY_ABOVE = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
UNCERTAINTY_BELOW = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
MEDIAN = Code("373099004", "SCT", "Median")
QUALITY = Code("111050", "DCM", "Quality Assessment")
COMMENT = Code("121106", "DCM", "Comment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
"""The one of CID 100 that slide microscopy is; template validators refuse others."""
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
FINDING = Code("121071", "DCM", "Finding")

KIND_OF_ARTIFACT = Code("kind-of-artifact", PRIVATE_SCHEME, "Kind of artifact")
SHARE_OF_TISSUE = Code("share-of-tissue", PRIVATE_SCHEME, "Share of tissue area")
FOCUS = Code("focus", PRIVATE_SCHEME, "Sharpness of tissue")
SHARE_BLURRED = Code("share-blurred", PRIVATE_SCHEME, "Share of tissue that measures as blurred")
SHARE_SEEN = Code("share-seen", PRIVATE_SCHEME, "Share of tissue that the model saw")
UNLIKENESS = Code("unlikeness", PRIVATE_SCHEME, "Unlikeness to training data, limit 1")
SLIDE_QUALITY_PAGE = Code("quality-page", PRIVATE_SCHEME, "Slide quality, one page")

KINDS: Mapping[SlideClass, Code] = {
    SlideClass.FOLD: Code("fold", PRIVATE_SCHEME, "Tissue fold"),
    SlideClass.DARK_SPOT: Code("dark-spot", PRIVATE_SCHEME, "Dark spot or foreign body"),
    SlideClass.PEN: Code("pen", PRIVATE_SCHEME, "Pen mark"),
    SlideClass.BUBBLE: Code("bubble", PRIVATE_SCHEME, "Air bubble"),
    SlideClass.OUT_OF_FOCUS: Code("out-of-focus", PRIVATE_SCHEME, "Out of focus"),
    SlideClass.BLOOD: BLOOD,
}

_STANDARD: Mapping[SlideClass, tuple[Code, Code]] = {
    SlideClass.TISSUE: (TISSUE, TISSUE),
    SlideClass.BLOOD: (BODY_SUBSTANCE, BLOOD),
}

VERDICTS: Mapping[Verdict, Code] = {
    Verdict.ACCEPT: Code("111237", "DCM", "Usable - Meets the quality control standard"),
    Verdict.REVIEW: Code("111236", "DCM", "Usable - Does not meet the quality control standard"),
    Verdict.RESCAN: Code("111235", "DCM", "Unusable - Quality renders image unusable"),
}
"""CID 6044."""


def category_and_type(kind: SlideClass) -> tuple[Code, Code]:
    """Give category (CID 7150) and type of a class in standard codes."""
    return _STANDARD.get(kind, (PHYSICAL_OBJECT, ARTIFACT))


def scheme_identification() -> Dataset:
    """Make the item of Coding Scheme Identification Sequence (0008,0110) for our private codes."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeUID = PRIVATE_SCHEME_UID
    item.CodingSchemeName = "Coverslip slide quality concepts"
    item.CodingSchemeVersion = "1"
    item.CodingSchemeResponsibleOrganization = "Coverslip"
    return item


def code_item(code: Code) -> Dataset:
    """Make the item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
