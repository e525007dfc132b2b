"""The vault: what only release may know, each cell encrypted for its own place.

Identity of each slide (as it was sealed on the way in), what every recipient ever got of every
physical container (the tile ledger), the tiles that wait for company, and the manifests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from appliance.errors import IncompleteSlide
from appliance.sealing import CellCipher
from appliance.stores.database import READ_ONLY
from appliance.stores.vault_cells import MANIFEST, PLACEMENTS, SEALED_IDENTITY, TILE
from appliance.stores.vault_schema import (
    batches,
    grants,
    identities,
    manifests,
    pooled,
    samplings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """One recipient's one sample of one physical container, for ever."""

    container: str
    """Keyed pseudonym of the container."""
    recipient: str
    patient: str
    """Keyed pseudonym of the patient."""
    slide_id: str
    """The scan the sample was taken from."""
    plan_digest: str
    """Digest of the plan's terms; another plan may not be laid over this one."""
    n_tiles: int
    placements: bytes
    """The sealed tile manifest: JSON of tile id, place and transform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledTile:
    """A tile that waits in the pool of a route."""

    tile_id: str
    patient: str
    """Keyed pseudonym of the patient, for the cap and the count of patients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tiles that leave together."""

    parcel_id: str
    route: str
    made_at: float
    """Seconds since the epoch; kept, so that a retry signs the same manifest."""


class Vault:
    """Rows of the vault, encrypted and decrypted at this door.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="vault")`.
    cipher
        Made from `vault.key`.
    """

    def __init__(self, engine: Engine, cipher: CellCipher) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        self._cipher = cipher

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

    # What a recipient may get of a container: tiles or SR, once.

    def grant(self, container: str, recipient: str, kind: str) -> bool:
        """Say that a recipient gets this kind of a container; False when it got the other kind."""
        place = (grants.c.container == container) & (grants.c.recipient == recipient)
        with self._engine.begin() as connection:
            granted = connection.scalar(select(grants.c.kind).where(place))
            if granted is None:
                connection.execute(
                    insert(grants).values(container=container, recipient=recipient, kind=kind)
                )
        return granted in {None, kind}

    def samplings(self, container: str) -> tuple[Sampling, ...]:
        """Every sample ever taken of a container, by recipient."""
        statement = (
            select(samplings)
            .where(samplings.c.container == container)
            .order_by(samplings.c.recipient)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(
            Sampling(
                container=row.container,
                recipient=row.recipient,
                patient=row.patient,
                slide_id=row.slide_id,
                plan_digest=row.plan_digest,
                n_tiles=row.n_tiles,
                placements=PLACEMENTS.open(self._cipher, row),
            )
            for row in rows
        )

    def given(self, patient: str, recipient: str) -> int:
        """How many tiles of a patient a recipient was ever given, over all containers."""
        statement = select(func.sum(samplings.c.n_tiles)).where(
            samplings.c.patient == patient, samplings.c.recipient == recipient
        )
        with self._reader.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def sample(self, sampling: Sampling, *, route: str, tiles: Mapping[str, bytes]) -> bool:
        """Write one sample into the ledger and its tiles into the pool, in one commit.

        Returns
        -------
        bool
            False, and nothing changed, when this recipient was given a sample of this container
            before.
        """
        place = (samplings.c.container == sampling.container) & (
            samplings.c.recipient == sampling.recipient
        )
        with self._engine.begin() as connection:
            if connection.scalar(select(samplings.c.n_tiles).where(place)) is not None:
                return False
            connection.execute(
                insert(samplings).values(
                    container=sampling.container,
                    recipient=sampling.recipient,
                    patient=sampling.patient,
                    slide_id=sampling.slide_id,
                    plan_digest=sampling.plan_digest,
                    n_tiles=sampling.n_tiles,
                    key_id=self._cipher.key_id,
                    placements=PLACEMENTS.seal(
                        self._cipher, sampling.placements, sampling.container, sampling.recipient
                    ),
                )
            )
            self._add_tiles(connection, route, sampling.patient, tiles)
        return True

    def _add_tiles(
        self, connection: Connection, route: str, patient: str, tiles: Mapping[str, bytes]
    ) -> None:
        if not tiles:
            return
        rows = [
            {
                "tile_id": tile_id,
                "route": route,
                "patient": patient,
                "key_id": self._cipher.key_id,
                "content": TILE.seal(self._cipher, content, tile_id),
            }
            for tile_id, content in tiles.items()
        ]
        connection.execute(insert(pooled), rows)

    # The pool and its batches.

    def waiting_tiles(self, route: str) -> tuple[PooledTile, ...]:
        """Tiles of a route that are in no batch yet, by tile id."""
        statement = (
            select(pooled.c.tile_id, pooled.c.patient)
            .where(pooled.c.route == route, pooled.c.parcel_id.is_(None))
            .order_by(pooled.c.tile_id)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(PooledTile(tile_id=row.tile_id, patient=row.patient) for row in rows)

    def make_batch(self, batch: Batch, tile_ids: Sequence[str]) -> bool:
        """Put waiting tiles into a new batch; False, and nothing changed, when one was taken."""
        chosen = (pooled.c.tile_id.in_(tile_ids)) & (pooled.c.parcel_id.is_(None))
        with self._engine.begin() as connection:
            free = connection.scalars(select(pooled.c.tile_id).where(chosen)).all()
            if len(free) != len(tile_ids):
                return False
            connection.execute(
                insert(batches).values(
                    parcel_id=batch.parcel_id,
                    route=batch.route,
                    made_at=batch.made_at,
                    closed=False,
                )
            )
            connection.execute(update(pooled).where(chosen).values(parcel_id=batch.parcel_id))
        return True

    def open_batches(self, route: str) -> tuple[Batch, ...]:
        """Batches of a route that the journal has not been seen to name yet, oldest first."""
        statement = (
            select(batches)
            .where(batches.c.route == route, batches.c.closed.is_(False))
            .order_by(batches.c.made_at, batches.c.parcel_id)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(
            Batch(parcel_id=row.parcel_id, route=row.route, made_at=row.made_at) for row in rows
        )

    def batch_tiles(self, parcel_id: str) -> dict[str, bytes]:
        """Content of the tiles of a batch, by tile id."""
        statement = select(pooled).where(pooled.c.parcel_id == parcel_id).order_by(pooled.c.tile_id)
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return {row.tile_id: TILE.open(self._cipher, row) for row in rows}

    def close_batch(self, parcel_id: str) -> None:
        """Forget the pixels of a batch that is on its way; the ledger keeps what it held."""
        with self._engine.begin() as connection:
            connection.execute(
                update(batches).where(batches.c.parcel_id == parcel_id).values(closed=True)
            )
            connection.execute(delete(pooled).where(pooled.c.parcel_id == parcel_id))

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
