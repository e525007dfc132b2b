"""The reports that a report supersedes, named as the PACS has them.

A report of ours keeps its own UIDs when its identity is restored, so an earlier one is known to the
PACS by the UIDs that the later one names. Only its study is a pseudonym: the slide's own study, or,
when another scan of the glass slide lies in a study of its own, that one.
"""

from typing import Final

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from anonymizer.pseudonyms import text_of
from anonymizer.release.belonging import PREDECESSORS, Inverse, values_of, walk
from appliance.errors import IdentityDoubt

_DOUBT: Final = "The report supersedes one that is not of this glass slide."


def restore_predecessors(product: Dataset, inverse: Inverse, earlier: Inverse | None) -> None:
    """Put the true study on the predecessors of a report, in place.

    Parameters
    ----------
    product
        A report on the de-identified header; changed.
    inverse
        Of its slide.
    earlier
        Of the earlier scan, None when there is none.

    Raises
    ------
    IdentityDoubt
        A predecessor lies in a study that is neither the slide's nor that of an earlier scan of
        the same container and patient, or is no report.
    """
    studies = _studies(inverse)
    if earlier is not None and _same_glass(inverse, earlier):
        studies |= _studies(earlier)
    for item in product.get(PREDECESSORS) or []:
        study = text_of(item, "StudyInstanceUID")
        if study not in studies or not _names_reports(item, inverse):
            raise IdentityDoubt(_DOUBT)
        item.StudyInstanceUID = studies[study]


def _studies(inverse: Inverse) -> dict[str, str]:
    return {inverse.subject.study_instance_uid: text_of(inverse.header, "StudyInstanceUID")}


def _same_glass(inverse: Inverse, earlier: Inverse) -> bool:
    ours, theirs = inverse.subject, earlier.subject
    return (
        bool(ours.container_identifier)
        and ours.container_identifier == theirs.container_identifier
        and ours.patient_id == theirs.patient_id
    )


def _names_reports(item: Dataset, inverse: Inverse) -> bool:
    """Whether an item names reports and no image of the slide."""
    named = [value for element in walk(item) if element.VR == "UI" for value in values_of(element)]
    classes = [
        str(element.value) for element in walk(item) if element.keyword == "ReferencedSOPClassUID"
    ]
    return (
        bool(classes)
        and set(classes) == {Comprehensive3DSRStorage}
        and not (set(named) & inverse.instances)
    )
