"""UIDs that follow from what the objects are made of: the same for the same, others for others."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from inference import CODE_VERSION

_UUID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Names the objects of one report."""

    slide_id: str
    revision: int
    sources: tuple[str, ...]
    """Digests and UIDs of all that the objects are made of."""
    code_version: str = CODE_VERSION

    def uid(self, role: str) -> str:
        """Derive the UID of one role ("sr", "seg", "tracking/fold 3") as 2.25.<UUID> (RFC 9562).

        Version 8 of a UUID is the one whose bits its maker chooses.
        """
        parts = (
            self.code_version,
            self.slide_id,
            str(self.revision),
            *self.sources,
            role,
        )
        return uid_of(parts)


def uid_of(parts: Sequence[str]) -> str:
    """Derive a UID from some texts, the same for the same texts."""
    content = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    raw = bytearray(hashlib.sha256(content).digest()[:_UUID_BYTES])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(raw)).int}"
