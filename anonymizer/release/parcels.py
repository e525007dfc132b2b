"""Sign a set of products and publish them into the outbox of a route."""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.errors import DeliveryRefused
from appliance.line import Parcel
from appliance.manifest import ListedFile, Manifest, sign
from appliance.settings import Route
from appliance.storage import Root, publish, start_publication, storage_errors
from appliance.stores.vault import Vault
from appliance.trust import key_id

EXPIRES_AFTER_S: Final = 30 * 86_400.0
"""How long a signature allows a parcel to leave."""

_RENEW_BEFORE_S: Final = 86_400.0
"""A retry keeps the first signing time, so that its bytes are equal, unless this little is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One file that is to leave."""

    name: str
    kind: str
    """One of `appliance.line.REPORTS`, "tiles" and "outside_sr"."""
    content: bytes


class Outboxes:
    """The outboxes, and the only place that signs.

    Parameters
    ----------
    root
        The zones.
    vault
        Keeps each manifest.
    sign_key
        Release's signing key.
    """

    def __init__(self, *, root: Root, vault: Vault, sign_key: Ed25519PrivateKey) -> None:
        self._root = root
        self._vault = vault
        self._sign_key = sign_key

    def post(
        self,
        products: tuple[Product, ...],
        *,
        parcel: Parcel,
        route: Route,
        now: float,
    ) -> None:
        """Write, sign and publish a parcel as `outbox/<route>/<parcel.folder>`.

        The manifest is kept in the vault before the folder gets its name, so that whoever is
        killed in between signs the same bytes again.

        Raises
        ------
        DeliveryRefused
            A product is of a kind that the route may never carry.
        StorageFull
            The disk is full.
        """
        manifest = self._manifest(products, parcel, route, now)
        allowed = {file.kind for file in manifest.files} <= set(route.carries)
        if not allowed:
            raise DeliveryRefused("Release made a product that this route does not carry.")
        part = start_publication(self._root.outbox(route.name), parcel.folder)
        with storage_errors():
            for product in products:
                (part / product.name).write_bytes(product.content)
            sign(part, manifest, self._sign_key)
        self._vault.keep_manifest(parcel.parcel_id, manifest.to_bytes())
        publish(part)

    def _manifest(
        self, products: tuple[Product, ...], parcel: Parcel, route: Route, now: float
    ) -> Manifest:
        created_at = self._created_at(parcel.parcel_id, now)
        return Manifest(
            parcel_id=parcel.parcel_id,
            route=route.name,
            recipient=route.recipient,
            place=route.place,
            kind=parcel.kind,
            policy_digest=route.policy_digest,
            files=tuple(
                ListedFile(
                    name=product.name,
                    sha256=hashlib.sha256(product.content).hexdigest(),
                    size_bytes=len(product.content),
                    kind=product.kind,
                )
                for product in products
            ),
            created_at=created_at,
            expires_at=created_at + EXPIRES_AFTER_S,
            key_id=key_id(self._sign_key.public_key()),
        )

    def _created_at(self, parcel_id: str, now: float) -> float:
        kept = self._vault.manifest(parcel_id)
        if kept is None:
            return now
        earlier = Manifest.from_bytes(kept)
        return earlier.created_at if now < earlier.expires_at - _RENEW_BEFORE_S else now
