"""Batches of a route of shuffled tiles: mixed out of the pool, published, closed once delivered."""

import hashlib
import json
import logging
from collections.abc import Iterator

from anonymizer.release.opened import ReleaseKeys
from anonymizer.release.parcels import Outboxes, Product
from anonymizer.release.tile_forms import products_of
from anonymizer.tiles.cut import STAINS
from anonymizer.tiles.pool import batch_id, compose
from anonymizer.tiles.shards import Tile
from appliance.errors import RejectedError
from appliance.line import Parcel, Stage, State, Verdict
from appliance.manifest import Manifest
from appliance.settings import ColouredTiles, Route
from appliance.stores.journal import Journal
from appliance.stores.vault import Batch, Vault

log = logging.getLogger(__name__)


class TileBatches:
    """The batches of one route.

    Parameters
    ----------
    route, policy
        Checked settings.
    vault
        The pool.
    keys
        The sampling key decides which tiles go together.
    outboxes
        Where parcels are signed and published.
    journal
        Which parcels are on their way, and which slides a person has stopped. It is not trusted:
        it may keep tiles back and never lets one go.
    """

    def __init__(
        self,
        route: Route,
        policy: ColouredTiles,
        *,
        vault: Vault,
        keys: ReleaseKeys,
        outboxes: Outboxes,
        journal: Journal,
    ) -> None:
        self._route = route
        self._policy = policy
        self._vault = vault
        self._keys = keys
        self._outboxes = outboxes
        self._journal = journal

    def post(self, *, token: str, now: float) -> tuple[tuple[Parcel, ...], str]:
        """Make batches of what waits, and publish every batch that is not on its way.

        A batch stays the same once it was made: whoever is killed before the journal knows it
        publishes the same bytes again.

        Returns
        -------
        tuple of tuple of Parcel and str
            What was published, and why a batch was not; empty when all were.
        """
        self._settle()
        refused = [*self._make(now)]
        parcels: list[Parcel] = []
        for batch in self._vault.open_batches(self._route.name):
            if not self._is_on_its_way(batch, now):
                try:
                    parcels.extend(self._posted(batch, token, now))
                except RejectedError as error:  # the slide that is worked on has no part in it
                    refused.append(f"{error}")
                    log.warning("route %s: a batch of tiles stays: %s", self._route.name, error)
        return tuple(parcels), refused[-1] if refused else ""

    def _settle(self) -> None:
        """Close what was delivered; mix anew what may not leave as it is."""
        for batch in self._vault.open_batches(self._route.name):
            state = self._journal.parcels.state(batch.parcel_id)
            if state is State.DONE:
                self._vault.close_batch(batch.parcel_id)
            elif self._is_void(batch, state):
                self._vault.dissolve_batch(batch.parcel_id)

    def _is_void(self, batch: Batch, state: State | None) -> bool:
        """Whether a batch will never leave as it is.

        One that waits may still be sent by a deliver daemon that was started with the settings of
        before, so its tiles are free only when that one has refused it.
        """
        if batch.policy_digest != self._route.policy_digest:
            return state in (None, State.ASIDE)
        slides = self._vault.slides_of(batch.parcel_id)
        return state is None and not all(map(self._may_leave, slides))

    def _make(self, now: float) -> Iterator[str]:
        """Make batches, of one stain each; give what stood in the way."""
        key = self._keys.sampling_key
        for stain in STAINS:
            terms = terms_of(self._route, stain)
            found = self._vault.waiting_tiles(terms)
            leaving = {
                slide for slide in {tile.slide_id for tile in found} if self._may_leave(slide)
            }
            waiting = {tile.tile_id: tile for tile in found if tile.slide_id in leaving}
            for tile_ids in compose(tuple(waiting.values()), self._policy, key=key):
                digest = self._route.policy_digest
                name = batch_id(
                    key, route=self._route.name, tile_ids=tile_ids, policy_digest=digest
                )
                batch = Batch(
                    parcel_id=name, route=self._route.name, policy_digest=digest, made_at=now
                )
                tiles = [waiting[tile_id] for tile_id in tile_ids]
                try:
                    self._vault.make_batch(batch, tiles, terms=terms)
                except RejectedError as error:
                    log.warning("route %s: no batch of tiles: %s", self._route.name, error)
                    yield str(error)

    def _may_leave(self, slide_id: str) -> bool:
        """Whether nobody has stopped a slide since it was sampled; pools wait for weeks."""
        status = self._journal.board.slide(slide_id)
        return status is None or (
            status.stage in (Stage.RELEASE, Stage.DELIVER)
            and status.state not in (State.HELD, State.ASIDE)
            and status.verdict is Verdict.ACCEPT
        )

    def _is_on_its_way(self, batch: Batch, now: float) -> bool:
        """Whether the journal has the parcel, and its permission to leave holds or is another's."""
        if self._journal.parcels.state(batch.parcel_id) is None:
            return False
        if batch.policy_digest != self._route.policy_digest:
            return True
        kept = self._vault.manifest(batch.parcel_id)
        return kept is not None and now < Manifest.from_bytes(kept).expires_at

    def _posted(self, batch: Batch, token: str, now: float) -> tuple[Parcel, ...]:
        parcel = Parcel(
            parcel_id=batch.parcel_id,
            route=self._route.name,
            kind="tiles",
            folder=f"{batch.parcel_id}@{token}",
            slide_id=None,
        )
        products = self._products(batch)
        if not products:  # another release daemon handed it over meanwhile
            return ()
        return (self._outboxes.post(products, parcel=parcel, route=self._route, now=now),)

    def _products(self, batch: Batch) -> tuple[Product, ...]:
        contents = self._vault.batch_tiles(batch)
        if not contents:
            return ()
        tiles = {tile_id: Tile.from_bytes(content) for tile_id, content in contents.items()}
        recipient = self._keys.pseudonyms.for_recipient(self._route.recipient)
        return products_of(self._route, batch.parcel_id, tiles, recipient=recipient)


def terms_of(route: Route, stain: str) -> str:
    """Give the digest of what a tile was cut for: its recipient, the plan, and its stain.

    Only tiles of equal terms are mixed: a stain that few patients of a batch have would tell them.
    What waits when recipient or plan changes stays there: under other terms it never leaves.
    """
    plan = route.policy.plan_digest if isinstance(route.policy, ColouredTiles) else ""
    return hashlib.sha256(json.dumps([route.recipient, plan, stain]).encode()).hexdigest()
