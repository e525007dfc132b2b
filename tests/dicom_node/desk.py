"""A storage SCP by itself: real sockets and a real spool, and a list for an archive."""

import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_node.contexts import scanner_contexts
from dicom_node.receive.admission import AllowedPeer, Doors, PeerLimits, Rules
from dicom_node.receive.listening import listen
from dicom_node.receive.scp import StorageSCP
from dicom_node.receive.spool import Spool
from dicom_node.receive.transfer import Announced, Transfer
from dicom_node.send.sender import Endpoint
from dicom_node.status import SUCCESS
from tests.dicom_node.faults.speaker import Speaker

UID = "1.2.826.0.1.3680043.8.498.1"


class Desk:
    """Takes everything from everybody, unless the test says otherwise."""

    def __init__(
        self,
        folder: Path,
        *,
        peers: Sequence[AllowedPeer] | None = None,
        doors: Doors | None = None,
        tls: ssl.SSLContext | None = None,
        services: Sequence[Any] = (),
        maximum_associations: int = 64,
    ) -> None:
        self.spool = Spool(folder, soft_free_bytes=0, hard_free_bytes=0, free_bytes=lambda _: 1)
        self.stored: list[tuple[Announced, str]] = []
        self.said: list[str] = []
        listening = listen("127.0.0.1", 0)
        self.port = int(listening.getsockname()[1])
        self.scp = StorageSCP(
            ae_title="COVERSLIP",
            listening=listening,
            rules=Rules(
                ae_title="COVERSLIP", peers=peers, maximum_associations=maximum_associations
            ),
            contexts=scanner_contexts(),
            spool=self.spool,
            store=self.keep,
            refused=self.said.append,
            services=services,
            tls=tls,
            doors=doors or Doors(connections_per_address=1000),
        )

    def __enter__(self) -> "Desk":
        self.spool.own()
        self.scp.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.scp.stop()
        self.spool.disown()

    def keep(self, announced: Announced, transfer: Transfer) -> int:
        """Keep the hash of an object that came whole."""
        transfer.make_durable()
        self.stored.append((announced, transfer.sha256))
        return SUCCESS

    def speak(self) -> Speaker:
        """Connect."""
        return Speaker(self.port)

    def n_connections(self) -> int:
        """How many connections are open, associated or silent."""
        return self.scp._server.n_connections()

    def partial_files(self) -> list[Path]:
        """What is half received."""
        return sorted(self.spool.incoming.rglob("*.part"))

    @property
    def hashes(self) -> list[str]:
        """Of what was stored."""
        return [sha256 for _, sha256 in self.stored]

    @property
    def endpoint(self) -> Endpoint:
        """For our own sender."""
        return Endpoint(
            host="127.0.0.1",
            port=self.port,
            called_ae_title="COVERSLIP",
            calling_ae_title="SCANNER",
        )


def sha256_of(content: bytes) -> str:
    """Hash as the receiver makes it."""
    return hashlib.sha256(content).hexdigest()


def scanner(**limits: Any) -> AllowedPeer:
    """The scanner of the tests, with limits."""
    from ipaddress import ip_network

    certificate = limits.pop("certificate", None)
    return AllowedPeer(
        ae_title="SCANNER",
        networks=[ip_network("127.0.0.0/8")],
        certificate=certificate,
        limits=PeerLimits(**limits),
    )
