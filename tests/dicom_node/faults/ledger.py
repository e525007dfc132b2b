"""What scanners have sent, and what the node has promised them to keep."""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An object that a scanner has, and wants to see kept."""

    uid: str
    study: str
    data_set: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hash of the data set."""
        return hashlib.sha256(self.data_set).hexdigest()


class Known(Protocol):
    """What the ledger needs of an object."""

    @property
    def uid(self) -> str:
        """SOP Instance UID."""

    @property
    def study(self) -> str:
        """Study Instance UID."""

    @property
    def sha256(self) -> str:
        """Hash of the data set."""


class Ledger:
    """Objects that were sent, and those that were answered with 0x0000."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: dict[str, str] = {}
        """Hash of the data set -> SOP Instance UID."""
        self.promised: dict[str, str] = {}
        """SOP Instance UID -> hash."""
        self.studies: dict[str, str] = {}
        """SOP Instance UID -> study."""

    def sends(self, one: Known) -> None:
        """Note an object before its first byte goes out."""
        sha256 = one.sha256
        with self._lock:
            self.sent[sha256] = one.uid
            self.studies[one.uid] = one.study

    def hears_success(self, one: Known) -> None:
        """Note an object that was answered with success."""
        sha256 = one.sha256
        with self._lock:
            self.promised[one.uid] = sha256

    def promises(self) -> dict[str, str]:
        """Give what is promised so far; scanners may go on."""
        with self._lock:
            return dict(self.promised)
