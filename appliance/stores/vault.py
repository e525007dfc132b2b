"""The vault: what only release may know, each cell encrypted for its own place.

Identity of each slide (as it was sealed on the way in), the ledger of what every recipient ever
got, the tiles that wait for company, what model servers were asked, and the manifests.
"""

from sqlalchemy import delete, insert, select

from appliance.errors import IncompleteSlide
from appliance.stores.database import schema_of
from appliance.stores.vault_asked import AskedTiles
from appliance.stores.vault_cells import MANIFEST, SEALED_IDENTITY
from appliance.stores.vault_departures import Departures, Load
from appliance.stores.vault_ledger import Basis, Ledger, Sampling
from appliance.stores.vault_pool import Batch, Pool, PooledTile
from appliance.stores.vault_schema import identities, manifests

__all__ = ["Basis", "Batch", "Load", "PooledTile", "Sampling", "Vault"]


class Vault(Ledger, Departures, Pool):
    """All of the vault, as release holds it."""

    @property
    def asked(self) -> AskedTiles:
        """What model servers were asked about, and what they said."""
        return AskedTiles(self._engine, self._cipher)

    def schema(self) -> str:
        """Give the revision of the vault's schema."""
        return schema_of(self._engine) or ""

    # Identity.

    def put_identity(self, slide_id: str, sealed: bytes, *, source: str) -> None:
        """Keep the sealed identity of a slide; that of a later revision replaces it.

        `source` is the folder in `sealed/` that it came from.
        """
        cell = SEALED_IDENTITY.seal(self._cipher, sealed, slide_id)
        with self._engine.begin() as connection:
            connection.execute(delete(identities).where(identities.c.slide_id == slide_id))
            connection.execute(
                insert(identities).values(
                    slide_id=slide_id, source=source, key_id=self._cipher.key_id, sealed=cell
                )
            )

    def identity_source(self, slide_id: str) -> str | None:
        """Folder in `sealed/` that a slide's identity came from; None when there is none."""
        statement = select(identities.c.source).where(identities.c.slide_id == slide_id)
        with self._reader.connect() as connection:
            return connection.scalar(statement)

    def identity(self, slide_id: str) -> bytes:
        """Sealed identity of a slide, as it came from `sealed/`.

        Raises
        ------
        IncompleteSlide
            The vault has none.
        IdentityDoubt
            The row was altered or belongs to another slide.
        """
        statement = select(identities).where(identities.c.slide_id == slide_id)
        with self._reader.connect() as connection:
            row = connection.execute(statement).first()
        if row is None:
            raise IncompleteSlide("The vault holds no identity for this slide.")
        return SEALED_IDENTITY.open(self._cipher, row)

    # Manifests.

    def keep_manifest(self, parcel_id: str, content: bytes) -> None:
        """Keep the manifest of a parcel; a newer one replaces it."""
        cell = MANIFEST.seal(self._cipher, content, parcel_id)
        with self._engine.begin() as connection:
            connection.execute(delete(manifests).where(manifests.c.parcel_id == parcel_id))
            connection.execute(
                insert(manifests).values(
                    parcel_id=parcel_id, key_id=self._cipher.key_id, content=cell
                )
            )

    def manifest(self, parcel_id: str) -> bytes | None:
        """Manifest that was kept for a parcel; None when there is none."""
        statement = select(manifests).where(manifests.c.parcel_id == parcel_id)
        with self._reader.connect() as connection:
            row = connection.execute(statement).first()
        return None if row is None else MANIFEST.open(self._cipher, row)
