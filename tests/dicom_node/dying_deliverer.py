"""A deliverer that is killed after the parcel arrived and before the journal knows.

A process of its own: it gets the journal, the outbox, the route and release's public key.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.manifest import open_verified
from appliance.settings import Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.parcels import Parcels
from dicom_node.deliver.daemon import Deliverer, carrier_of


def die(*_arguments: object, **_words: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(journal: str, outbox: str, route: str, public_key: str) -> None:
    Parcels.delivered = die
    terms = Route.model_validate_json(Path(route).read_text())
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    Deliverer(
        journal=Journal(open_engine(journal, store="journal")),
        route=terms,
        outbox=Path(outbox),
        open_parcel=partial(open_verified, route=terms, public_key=key),
        carrier=carrier_of(terms),
    ).step()


if __name__ == "__main__":
    main(*sys.argv[1:])
