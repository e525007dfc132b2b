"""Which tile classifiers a slide meets: by what its header says of stain and body site.

The header is the de-identified one. It keeps stains of CID 8112, the staining method H&E and
anatomic sites that PS3.16 lists. It does not keep an antibody, which PS3.16 does not list: of
immunohistochemistry the counterstain may be all that is left. So a slide must carry every stain
that a model names, and no other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping

from inference.model.manifest import Concept, Model

_Code = tuple[str, str]
"""Coding Scheme Designator and Code Value; SNOMED RT is written as SNOMED CT."""

_PROCESSING_TYPE: Final = ("DCM", "111701")
_STAINING: Final = ("SCT", "127790008")
_USING_SUBSTANCE: Final = ("SCT", "424361007")
_EOSIN: Final = ("SCT", "36879007")
_SAME_STAINS: Final[dict[_Code, frozenset[_Code]]] = {
    ("SCT", "104210008"): frozenset({("SCT", "12710003"), _EOSIN}),  # method: hematoxylin and eosin
    ("SCT", "83600004"): frozenset({_EOSIN}),  # spirit soluble
    ("SCT", "1346008"): frozenset({_EOSIN}),  # blue shade
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suits:
    """Whether a model may run on a slide."""

    runs: bool
    reason: str = ""
    """Sentence that says why it does not run; empty when it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The tile classifiers of one slide."""

    run: tuple[Model, ...]
    left_out: tuple[str, ...]
    """One sentence for each that does not run."""


def chosen(classifiers: Iterable[Model], header: Dataset) -> Choice:
    """Choose the tile classifiers that suit a slide.

    Parameters
    ----------
    classifiers
        `Models.classifiers`.
    header
        De-identified header of one of the slide's VOLUME images.
    """
    judged = [(model, suits(model, header)) for model in classifiers]
    return Choice(
        run=tuple(model for model, found in judged if found.runs),
        left_out=tuple(found.reason for _, found in judged if not found.runs),
    )


def suits(model: Model, header: Dataset) -> Suits:
    """Say whether a model suits a slide; what a model does not name, it does not ask for.

    Parameters
    ----------
    model
        Its modalities, stains and body sites.
    header
        De-identified header: Modality (0008,0060), and of every specimen in Specimen Description
        Sequence (0040,0560) the stains in Specimen Preparation Sequence (TID 8003) and Primary
        Anatomic Structure Sequence (0008,2228).
    """
    if str(header.get("Modality", "")) not in model.modalities:
        return _no(model, "it is not for slides of this modality")
    if model.stains:
        stains = stains_of(header)
        if not stains:
            return _no(model, "the slide's header does not say how it was stained")
        if stains != _plain(_codes(model.stains)):
            return _no(model, "the slide has another stain than the model is for")
    if model.body_sites:
        sites = sites_of(header)
        if not sites:
            return _no(model, "the slide's header does not say where the tissue is from")
        if not sites <= _codes(model.body_sites):
            return _no(model, "the tissue is from elsewhere than the model is for")
    return Suits(runs=True)


def stains_of(header: Dataset) -> frozenset[_Code]:
    """Read the stains of a slide: what its staining steps used (PS3.16 TID 8003)."""
    return _plain(
        frozenset(
            value
            for specimen in header.get("SpecimenDescriptionSequence") or []
            for step in specimen.get("SpecimenPreparationSequence") or []
            for value in _stains_of_step(step)
        )
    )


def sites_of(header: Dataset) -> frozenset[_Code]:
    """Read where the tissue of a slide is from; several on a slide of several specimens."""
    return frozenset(
        _code(item)
        for specimen in header.get("SpecimenDescriptionSequence") or []
        for item in specimen.get("PrimaryAnatomicStructureSequence") or []
    )


def _stains_of_step(step: Dataset) -> Iterator[_Code]:
    content = [
        (_code(item.ConceptNameCodeSequence[0]), _code(item.ConceptCodeSequence[0]))
        for item in step.get("SpecimenPreparationStepContentItemSequence") or []
        if item.get("ConceptNameCodeSequence") and item.get("ConceptCodeSequence")
    ]
    if (_PROCESSING_TYPE, _STAINING) in content:
        yield from (value for name, value in content if name == _USING_SUBSTANCE)


def _codes(concepts: Iterable[Concept]) -> frozenset[_Code]:
    return frozenset(_modern(concept.scheme, concept.value) for concept in concepts)


def _code(item: Dataset) -> _Code:
    return _modern(str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", "")))


def _modern(scheme: str, value: str) -> _Code:
    modern = mapping["SRT"].get(value) if scheme == "SRT" else None
    return (scheme, value) if modern is None else ("SCT", str(modern))


def _plain(stains: frozenset[_Code]) -> frozenset[_Code]:
    """Write a stain that has several codes in one way."""
    return frozenset().union(*(_SAME_STAINS.get(stain, {stain}) for stain in stains))


def _no(model: Model, why: str) -> Suits:
    return Suits(runs=False, reason=f"The model {model.name} was not run: {why}.")
