"""The specimen on the slide, as a laboratory system tells it (PS3.3 C.7.6.22, PS3.16 TID 8001)."""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.synthetic.identity import SlideIdentity

_PROCESSING_TYPE = ("111701", "DCM", "Processing type")
_SPECIMEN_IDENTIFIER = ("121041", "DCM", "Specimen Identifier")
_USING_SUBSTANCE = ("424361007", "SCT", "Using substance")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code sequence item."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def entity(identifier: str) -> Dataset:
    """Return an issuer, an HL7v2 hierarchic designator."""
    item = Dataset()
    item.LocalNamespaceEntityID = identifier
    return item


def _content(kind: str, name: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.ValueType = kind
    item.ConceptNameCodeSequence = [code(*name)]
    return item


def _text(name: tuple[str, str, str], value: str) -> Dataset:
    item = _content("TEXT", name)
    item.TextValue = value
    return item


def _coded(name: tuple[str, str, str], value: tuple[str, str, str]) -> Dataset:
    item = _content("CODE", name)
    item.ConceptCodeSequence = [code(*value)]
    return item


def _step(specimen: str, kind: tuple[str, str, str], *details: Dataset) -> Dataset:
    item = Dataset()
    item.SpecimenPreparationStepContentItemSequence = Sequence(
        [_text(_SPECIMEN_IDENTIFIER, specimen), _coded(_PROCESSING_TYPE, kind), *details]
    )
    return item


def _preparation(identity: SlideIdentity) -> Sequence:
    when = _content("DATETIME", ("111702", "DCM", "DateTime of processing"))
    when.DateTime = identity.study_at.strftime("%Y%m%d%H%M%S")
    parent = identity.parent_specimen_identifier
    sampled = ("433465004", "SCT", "Sampling of tissue specimen")
    return Sequence(
        [
            _step(parent, ("17636008", "SCT", "Specimen collection"), when),
            _step(
                parent,
                ("9265001", "SCT", "Specimen processing"),
                _text(
                    ("111703", "DCM", "Processing step description"), identity.preparation_comment
                ),
                _coded(
                    ("430864009", "SCT", "Tissue Fixative"),
                    ("434162003", "SCT", "Neutral Buffered Formalin"),
                ),
                _coded(
                    ("430863003", "SCT", "Embedding medium"), ("311731000", "SCT", "Paraffin wax")
                ),
            ),
            _step(
                identity.specimen_identifier,
                sampled,
                _coded(
                    ("111704", "DCM", "Sampling Method"), ("434472006", "SCT", "Block sectioning")
                ),
                _text(("111705", "DCM", "Parent Specimen Identifier"), parent),
                _coded(
                    ("111707", "DCM", "Parent specimen type"),
                    ("119376003", "SCT", "Tissue specimen"),
                ),
            ),
            _step(
                identity.specimen_identifier,
                ("127790008", "SCT", "Staining"),
                _coded(_USING_SUBSTANCE, ("12710003", "SCT", "Hematoxylin stain")),
                _coded(_USING_SUBSTANCE, ("36879007", "SCT", "Water soluble eosin stain")),
            ),
        ]
    )


def add_specimen(header: Dataset, identity: SlideIdentity) -> None:
    """Write the container and the one specimen in it (Specimen module)."""
    header.ContainerIdentifier = identity.container_identifier
    header.IssuerOfTheContainerIdentifierSequence = [
        entity(identity.issuer_of_container_identifier)
    ]
    header.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    header.ContainerDescription = identity.container_description
    component = Dataset()
    component.ContainerComponentTypeCodeSequence = [
        code("433472003", "SCT", "Microscope slide cover slip")
    ]
    component.ContainerComponentID = identity.container_component_id
    component.ContainerComponentMaterial = "GLASS"
    header.ContainerComponentSequence = [component]
    specimen = Dataset()
    specimen.SpecimenIdentifier = identity.specimen_identifier
    specimen.SpecimenUID = identity.specimen_uid
    specimen.IssuerOfTheSpecimenIdentifierSequence = [
        entity(identity.issuer_of_container_identifier)
    ]
    specimen.SpecimenTypeCodeSequence = [code("430856003", "SCT", "Tissue section")]
    specimen.SpecimenShortDescription = identity.specimen_short_description
    specimen.SpecimenDetailedDescription = identity.specimen_detailed_description
    specimen.SpecimenPreparationSequence = _preparation(identity)
    specimen.PrimaryAnatomicStructureSequence = [code("60184004", "SCT", "Sigmoid colon")]
    header.SpecimenDescriptionSequence = [specimen]
