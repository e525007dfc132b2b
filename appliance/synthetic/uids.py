"""UIDs that follow from a seed, as RFC 9562 version 8 UUIDs under 2.25."""

import hashlib
import uuid


def seeded_uid(*parts: str | int) -> str:
    """Return the UID that belongs to these words and numbers, always the same (PS3.5 B.2)."""
    digest = bytearray(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"
