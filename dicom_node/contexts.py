"""Which objects and encodings the node takes, and which it proposes when it sends."""

from collections.abc import Iterable
from typing import Final

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"

VL_WHOLE_SLIDE_MICROSCOPY: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"

PATHOLOGY_SOP_CLASSES: Final = (
    VL_WHOLE_SLIDE_MICROSCOPY,
    "1.2.840.10008.5.1.4.1.1.77.1.2",  # VL Microscopic Image
    "1.2.840.10008.5.1.4.1.1.77.1.3",  # VL Slide-Coordinates Microscopic Image
    "1.2.840.10008.5.1.4.1.1.77.1.8",  # Confocal Microscopy Image
    "1.2.840.10008.5.1.4.1.1.77.1.9",  # Confocal Microscopy Tiled Pyramidal Image
)
"""What a scanner may store here (PS3.4 B.5); anything else is refused at negotiation."""

TRANSFER_SYNTAXES: Final[tuple[UID, ...]] = (
    JPEGBaseline8Bit,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLossless,
    RLELossless,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
"""Best first: the acceptor's order decides, and no scanner must be asked to decompress."""


def scanner_contexts() -> list[PresentationContext]:
    """Give what the receiver supports: pathology objects, Verification, storage commitment."""
    contexts = [build_context(one, list(TRANSFER_SYNTAXES)) for one in PATHOLOGY_SOP_CLASSES]
    commitment = commitment_context()
    commitment.scu_role, commitment.scp_role = True, False  # the scanner asks, we answer
    return [*contexts, build_context(Verification), commitment]


def commitment_context() -> PresentationContext:
    """Give the context of the Storage Commitment Push Model, in both Little Endian encodings."""
    return build_context(STORAGE_COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])


def archive_contexts() -> list[PresentationContext]:
    """Give what the stand-in for a PACS supports: every storage object, and Verification."""
    contexts = [
        build_context(one.abstract_syntax or "", list(TRANSFER_SYNTAXES))
        for one in AllStoragePresentationContexts
    ]
    return [*contexts, build_context(Verification)]


def proposals(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """Give one context for each (SOP class UID, transfer syntax UID) that is to be sent.

    One transfer syntax a context: an object goes out as it is, never decoded or re-encoded.
    """
    return [build_context(sop_class, syntax) for sop_class, syntax in sorted(set(pairs))]
