"""The identity of one slide as it is sealed on the way in and opened by release only.

One object serves restore, display and audit: the original header of the base VOLUME instance,
the list of the slide's instances, and every UID met in any of their headers (the pseudonym map is
recomputed from these; it is stored nowhere).
"""

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian

from appliance.errors import IdentityDoubt, InvalidInstance

_MAGIC: Final = b"coverslip-identity-1\n"
_LENGTH: Final = struct.Struct(">I")
_META_GROUP: Final = 0x0002
_FOREIGN: Final = (
    BytesLengthException, ArithmeticError, AttributeError, LookupError, NotImplementedError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom raises on damaged values."""

_BULK: Final = frozenset(
    {
        "PixelData",
        "FloatPixelData",
        "DoubleFloatPixelData",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "PerFrameFunctionalGroupsSequence",
    }
)
"""Left out of the header: large, and holds nothing of the patient (its UIDs are in `uids`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalInstance:
    """The three UIDs by which the PACS knows one received instance."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedIdentity:
    """What is sealed per slide."""

    header: bytes
    """DICOM file (explicit little endian) of the base VOLUME data set without pixels."""
    instances: tuple[OriginalInstance, ...]
    uids: tuple[str, ...]
    """Every value of VR UI met in the headers of all instances, sorted."""

    def dataset(self) -> Dataset:
        """Parse the header.

        Raises
        ------
        IdentityDoubt
            It is not a DICOM file.
        """
        try:
            return dcmread(BytesIO(self.header))
        except (InvalidDicomError, EOFError, ValueError) as error:
            raise IdentityDoubt("The sealed header of this slide cannot be read.") from error

    def to_bytes(self) -> bytes:
        """Encode; equal values give equal bytes."""
        table = {
            "instances": [
                [one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid]
                for one in self.instances
            ],
            "uids": list(self.uids),
        }
        text = json.dumps(table, separators=(",", ":")).encode()
        return b"".join((_MAGIC, _LENGTH.pack(len(text)), text, self.header))

    @classmethod
    def from_bytes(cls, content: bytes) -> "SealedIdentity":
        """Decode what `to_bytes` made.

        Raises
        ------
        IdentityDoubt
            Any other content.
        """
        start = len(_MAGIC) + _LENGTH.size
        try:
            if not content.startswith(_MAGIC):
                raise ValueError  # noqa: TRY301 - one sentence for every damaged content
            (length,) = _LENGTH.unpack(content[len(_MAGIC) : start])
            table = json.loads(content[start : start + length])
            instances = tuple(
                OriginalInstance(
                    sop_class_uid=str(sop_class),
                    sop_instance_uid=str(sop_instance),
                    series_instance_uid=str(series),
                )
                for sop_class, sop_instance, series in table["instances"]
            )
            uids = tuple(str(uid) for uid in table["uids"])
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise IdentityDoubt("The sealed identity of this slide is damaged.") from error
        return cls(header=content[start + length :], instances=instances, uids=uids)


def identity_of(base: Dataset, headers: Sequence[Dataset]) -> SealedIdentity:
    """Collect the identity of a slide from its headers.

    Parameters
    ----------
    base
        Header of the base (finest) VOLUME instance.
    headers
        Headers of all instances of the slide, `base` among them; pixel data may be absent.

    Raises
    ------
    InvalidInstance
        A header holds what cannot be written again.
    """
    try:
        return _identity_of(base, headers)
    except _FOREIGN as error:
        raise InvalidInstance("The identity in a header of the slide cannot be read.") from error


def _identity_of(base: Dataset, headers: Sequence[Dataset]) -> SealedIdentity:
    uids: set[str] = set()
    for header in headers:
        uids.update(_uids(header))
        uids.update(_uids(getattr(header, "file_meta", FileMetaDataset())))
    instances = sorted(
        (str(one.SOPClassUID), str(one.SOPInstanceUID), str(one.SeriesInstanceUID))
        for one in headers
    )
    return SealedIdentity(
        header=_header_bytes(base),
        instances=tuple(
            OriginalInstance(sop_class_uid=a, sop_instance_uid=b, series_instance_uid=c)
            for a, b, c in instances
        ),
        uids=tuple(sorted(uids)),
    )


def _header_bytes(base: Dataset) -> bytes:
    kept = Dataset(
        {e.tag: e for e in base if e.keyword not in _BULK and e.tag.group != _META_GROUP}
    )
    kept.file_meta = FileMetaDataset()
    kept.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kept.file_meta.MediaStorageSOPClassUID = base.SOPClassUID
    kept.file_meta.MediaStorageSOPInstanceUID = base.SOPInstanceUID
    buffer = BytesIO()
    kept.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uids(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _uids(item)
        elif element.VR == "UI":
            values: Iterable[object] = (
                [element.value] if isinstance(element.value, str) else element.value or ()
            )
            yield from (str(value) for value in values if value)
