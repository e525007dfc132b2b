"""Sign a set of products and publish them into the outbox of a route."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from anonymizer.release.audit_words import words_of_parcel
from anonymizer.release.limits import DAY_S, day_of, first_day
from appliance.errors import DeliveryRefused
from appliance.line import Parcel
from appliance.manifest import ListedFile, Manifest, sign
from appliance.settings import Route
from appliance.storage import Root, publish, start_publication, storage_errors
from appliance.stores.vault import Load, Vault
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
    n_tiles: int = 0
    """How many tiles are in it, for the route's daily limit."""


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
    ) -> Parcel:
        """Write, sign and publish a parcel as `outbox/<route>/<parcel.folder>`.

        The manifest is kept in the vault before the folder gets its name, so that whoever is
        killed in between signs the same bytes again. What goes beyond the route's daily limits is
        signed for the first day that has room for it.

        Returns
        -------
        Parcel
            With the day, where it has to wait, and the words for the audit record.

        Raises
        ------
        DeliveryRefused
            A product is of a kind that the route may never carry.
        PolicyRefused
            The parcel alone is more than the route may carry in a day.
        StorageFull
            The disk is full.
        """
        if not {product.kind for product in products} <= set(route.carries):
            raise DeliveryRefused("Release made a product that this route does not carry.")
        load = Load(
            n_tiles=sum(product.n_tiles for product in products),
            size_bytes=sum(len(product.content) for product in products),
        )
        not_before = self._not_before(parcel, load, route, now)
        manifest = self._manifest(products, parcel, route, now=now, not_before=not_before)
        part = start_publication(self._root.outbox(route.name), parcel.folder)
        with storage_errors():
            for product in products:
                (part / product.name).write_bytes(product.content)
            sign(part, manifest, self._sign_key)
        self._vault.keep_manifest(parcel.parcel_id, manifest.to_bytes())
        publish(part)
        return replace(
            parcel,
            not_before=not_before if not_before > now else None,
            audit=words_of_parcel(manifest, route, load),
        )

    def _not_before(self, parcel: Parcel, load: Load, route: Route, now: float) -> float:
        """Start of the day that the parcel was given, now or at an earlier try."""
        today = day_of(now)
        day = self._vault.allot(
            parcel.parcel_id,
            route.name,
            load,
            today=today,
            choose=lambda leaving: first_day(leaving, load, route.limits, today=today),
        )
        return day * DAY_S

    def _manifest(
        self,
        products: tuple[Product, ...],
        parcel: Parcel,
        route: Route,
        *,
        now: float,
        not_before: float,
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
            expires_at=max(created_at, not_before) + EXPIRES_AFTER_S,
            key_id=key_id(self._sign_key.public_key()),
            not_before=not_before,
        )

    def _created_at(self, parcel_id: str, now: float) -> float:
        kept = self._vault.manifest(parcel_id)
        if kept is None:
            return now
        earlier = Manifest.from_bytes(kept)
        return earlier.created_at if now < earlier.expires_at - _RENEW_BEFORE_S else now
