"""The deliverer of a route of every kind, and whoever may write its outbox and its journal."""

import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter

from appliance import manifest
from appliance.line import Parcel, State
from appliance.manifest import MANIFEST, SIGNATURE, Manifest, VerifiedParcel, list_file
from appliance.settings import Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.journal_schema import parcels
from dicom_node.deliver.daemon import Deliverer
from dicom_node.routes.delivery import Delivery

KEY = Ed25519PrivateKey.generate()
STATEMENT = "Does not protect against whoever holds the original."
COLOURED = {"mechanism": "coloured_tiles", "statement": STATEMENT}
EVERY = {"mechanism": "every_tile", "statement": STATEMENT, "um_px": 1.0, "tile_px": 96}
BARE = {"mechanism": "bare_report", "statement": STATEMENT}
PEER = {"ae_title": "PEER", "host": "127.0.0.1", "port": 104}
SERVERS = {
    "kind": "model_servers",
    "servers": [{"url": "grpc://127.0.0.1:8001"}],
    "model": {"folder": "/models/remote", "digest": f"sha256:{'0' * 64}", "name": "remote"},
}
STORE = {"url": "s3://bucket/x", "credentials_file": "/etc/coverslip/bucket.toml"}
HOSPITAL = {"recipient": "hospital", "addresses": ["127.0.0.0/8"]}

ROUTES = {
    "pacs": HOSPITAL | {"place": "inside", "kind": "dimse", "carries": ["SR", "SEG"], "peer": PEER},
    "registry": {"kind": "dimse", "carries": ["outside_sr"], "peer": PEER, "policy": BARE},
    "folder": {"kind": "folder", "folder": "/srv/tiles", "policy": COLOURED},
    "bucket": {"kind": "object_store", "store": STORE, "policy": COLOURED},
    "dicom": {"kind": "dimse", "peer": PEER, "policy": COLOURED},
    "web": {"kind": "stow", "web": {"url": "https://192.0.2.1/dicom-web"}, "policy": COLOURED},
    "servers": {**SERVERS, "policy": COLOURED},
    "site": HOSPITAL | {"place": "site", **SERVERS, "policy": EVERY},
}
"""A route of every kind."""

KINDS = {"pacs": ("report", "SR"), "registry": ("outside_sr", "outside_sr")}
"""Kind of parcel and of file; all other routes carry tiles."""


def route_called(name: str) -> Route:
    outside = {"recipient": f"recipient-of-{name}", "place": "outside", "carries": ["tiles"]}
    return TypeAdapter(Route).validate_python({"name": name, **outside, **ROUTES[name]})


class Wire:
    """Stands for the way to a recipient, and keeps all that would have left."""

    def __init__(self) -> None:
        self.left: list[dict[str, bytes]] = []

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:
        self.left.append({name: parcel.read(name) for name in parcel.files})
        return Delivery(words="Sent.")


class Door:
    """The deliverer of one route, with the journal and the outbox that it looks into."""

    def __init__(self, folder: Path, name: str) -> None:
        self.journal = Journal(open_engine(f"sqlite:///{folder}/{name}.db", store="journal"))
        self.route = route_called(name)
        self.outbox = folder / "outbox" / name
        self.outbox.mkdir(parents=True)
        self.wire = Wire()
        self.deliverer = Deliverer(
            journal=self.journal,
            route=self.route,
            outbox=self.outbox,
            open_parcel=partial(
                manifest.open_verified, route=self.route, public_key=KEY.public_key()
            ),
            carrier=self.wire,
        )

    def signed(self, parcel_id: str = "parcel", **changes: Any) -> Path:
        """What release publishes for the route."""
        kind, file_kind = KINDS.get(self.route.name, ("tiles", "tiles"))
        folder = self.outbox / f"{parcel_id}@token"
        folder.mkdir()
        (folder / "one").write_bytes(b"the first product" * 99)
        (folder / "two").write_bytes(b"the second product")
        made = Manifest(
            parcel_id=parcel_id,
            route=self.route.name,
            recipient=self.route.recipient,
            place=self.route.place,
            kind=kind,
            policy_digest=self.route.policy_digest,
            files=tuple(list_file(folder / name, file_kind) for name in ("one", "two")),
            created_at=time.time(),
            expires_at=time.time() + 3600,
            key_id=manifest.key_id(KEY.public_key()),
        )
        sign_anything(folder, replace(made, **changes), KEY)
        return folder

    def offer(self, folder: str, parcel_id: str = "parcel") -> str:
        """Let the deliverer work on a row of the journal; give what it said of it."""
        row = Parcel(
            parcel_id=parcel_id, route=self.route.name, kind="x", folder=folder, slide_id=None
        )
        with self.journal._engine.begin() as connection:
            self.journal.parcels.add(connection, row)
            # as it pleases whoever writes the journal, whatever became of the row before
            connection.execute(
                parcels.update().values(
                    folder=folder, state=State.WAITING, attempts=0, next_try_at=None
                )
            )
        assert self.deliverer.step()
        (status,) = self.journal.board.shards()
        return status.error or status.state


def sign_anything(folder: Path, made: Manifest, key: Ed25519PrivateKey) -> None:
    """Sign without the checks of `manifest.sign`: what a fault in release might do."""
    content = made.to_bytes()
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(key.sign(b"coverslip/manifest/1\n" + content))


class Swapping:
    """Changes a file to something else and back, as fast as it can, until the block ends."""

    def __init__(self, file: Path, other: bytes) -> None:
        self._contents = file.read_bytes(), other
        self._file = file
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._swap)
        self.n_swaps = 0

    def __enter__(self) -> "Swapping":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _swap(self) -> None:
        part = self._file.parents[1] / "part"
        while not self._ending.is_set():
            for content in reversed(self._contents):
                if self.n_swaps % 3:  # by a rename, and by writing into the file that is there
                    part.write_bytes(content)
                    part.rename(self._file)
                else:
                    self._file.write_bytes(content)
                self.n_swaps += 1
