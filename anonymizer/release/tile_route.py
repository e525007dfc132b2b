"""A route of shuffled tiles: sample a slide once into the pool, and send full batches."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from anonymizer.release.opened import OpenedSlide, ReleaseKeys
from anonymizer.release.parcels import Outboxes, Product
from anonymizer.release.tile_forms import products_of
from anonymizer.tiles.cut import cut_tiles, stain_of
from anonymizer.tiles.fit import check_fit, colluding, declared
from anonymizer.tiles.plan import (
    ClassMap,
    Placement,
    Sampler,
    grid_digest,
    placements_to_bytes,
    plan_tiles,
)
from anonymizer.tiles.pool import batch_id, compose
from anonymizer.tiles.shards import Tile
from appliance.errors import ConfigError, PolicyRefused, RejectedError, UnsuitableSlide
from appliance.line import Parcel, Verdict
from appliance.settings import ColouredTiles, Route
from appliance.slides.findings import CLASS_MAP_PNG, Findings, read_findings
from appliance.slides.reader import open_slide
from appliance.stores.journal import Journal
from appliance.stores.vault import Basis, Batch, Sampling, Vault


class TileRoute:
    """One outside route that carries tiles.

    Parameters
    ----------
    route
        Checked settings of the route, with its policy.
    routes
        All routes, for who may collude with whom.
    vault
        Ledger and pool.
    keys
        The sampling key decides what may leave.
    """

    def __init__(
        self, route: Route, *, routes: Sequence[Route], vault: Vault, keys: ReleaseKeys
    ) -> None:
        if not isinstance(route.policy, ColouredTiles):
            raise ConfigError(f"The route {route.name} has no plan for tiles.")
        self._route = route
        self._routes = routes
        self._policy: ColouredTiles = route.policy
        self._vault = vault
        self._keys = keys

    def sample(self, slide: OpenedSlide) -> str:
        """Take this recipient's one sample of a slide's container into the pool.

        Returns
        -------
        str
            One sentence about what was done, for the slide's events.

        Raises
        ------
        PolicyRefused
            The plan allows no sample of this slide.
        """
        basis = self._basis(slide)
        if any(sampling.recipient == self._route.recipient for sampling in basis.beside):
            return f"Route {self._route.name}: this slide was sampled before; no second sample."
        findings = read_findings(slide.findings)
        if findings.verdict is not Verdict.ACCEPT:
            raise PolicyRefused("A slide that is not accepted gives no tiles.")
        placements = self._plan(slide, findings, given=basis.given)
        check_fit(
            colluding(basis.beside, self._route, self._routes),
            slide_id=slide.slide_id,
            policy=self._policy,
            placements=placements,
        )
        sampling = self._sampling(slide, placements)
        tiles = self._cut(slide, placements)
        recipient = self._route.recipient
        if not self._vault.grant(sampling.container, recipient, "tiles"):
            raise PolicyRefused("This recipient was given something else of this container.")
        self._vault.sample(
            sampling, route=self._route.name, tiles=tiles, terms=terms_of(self._route), basis=basis
        )
        return f"Route {self._route.name}: {len(tiles)} tiles wait in the pool."

    def post_batches(
        self, *, token: str, outboxes: Outboxes, journal: Journal, now: float
    ) -> tuple[tuple[Parcel, ...], str]:
        """Make batches of what waits, and publish every batch that the journal does not know.

        A batch stays the same once it was made: whoever is killed before the journal knows it
        publishes the same bytes again.

        Returns
        -------
        tuple of tuple of Parcel and str
            What was published, and why a batch was not; empty when all were.
        """
        for batch in self._vault.open_batches(self._route.name):
            if journal.parcels.known(batch.parcel_id):
                self._vault.close_batch(batch.parcel_id)
            elif batch.policy_digest != self._route.policy_digest:
                self._vault.dissolve_batch(batch.parcel_id)
        self._make_batches(now)
        parcels, refused = [], ""
        for batch in self._vault.open_batches(self._route.name):
            parcel = Parcel(
                parcel_id=batch.parcel_id,
                route=self._route.name,
                kind="tiles",
                folder=f"{batch.parcel_id}@{token}",
                slide_id=None,
            )
            products = self._products(batch)
            try:
                posted = outboxes.post(products, parcel=parcel, route=self._route, now=now)
            except PolicyRefused as error:
                refused = str(error)
            else:
                parcels.append(posted)
        return tuple(parcels), refused

    def _basis(self, slide: OpenedSlide) -> Basis:
        container = slide.inverse.subject.container_identifier
        if not container:
            raise PolicyRefused(
                "The slide has no container identifier, so a second sample could not be told."
            )
        return self._vault.basis(container, patient=slide.patient, recipient=self._route.recipient)

    def _plan(self, slide: OpenedSlide, findings: Findings, *, given: int) -> tuple[Placement, ...]:
        subject = slide.inverse.subject
        budget = self._policy.max_tiles_per_patient - given
        if budget <= 0:
            raise PolicyRefused("This recipient was given all tiles of this patient it may have.")
        placements = plan_tiles(
            read_class_map(slide.findings, findings),
            class_map_um_px=findings.class_map_um_px,
            policy=self._policy,
            sampler=Sampler.derive(
                self._keys.sampling_key,
                container=subject.container_identifier,
                recipient=self._route.recipient,
            ),
            n_at_most=budget,
        )
        if not placements:
            raise PolicyRefused("No field of this slide is clean tissue all over.")
        fewest = min(self._policy.min_tiles_per_slide, budget)
        if self._policy.few_tiles == "refuse" and len(placements) < fewest:
            raise PolicyRefused("The slide gives too few tiles for this route to hide among.")
        return placements

    def _sampling(self, slide: OpenedSlide, placements: tuple[Placement, ...]) -> Sampling:
        return Sampling(
            container=slide.inverse.subject.container_identifier,
            recipient=self._route.recipient,
            patient=slide.patient,
            slide_id=slide.slide_id,
            place=self._route.place,
            plan_digest=grid_digest(self._policy),
            colludes_with=declared(self._policy),
            n_tiles=len(placements),
            placements=placements_to_bytes(placements),
        )

    def _cut(self, slide: OpenedSlide, placements: tuple[Placement, ...]) -> dict[str, bytes]:
        um_px = self._policy.um_px
        with open_slide(sorted(slide.deid.glob("*.dcm"))) as reader:
            stain = stain_of(reader.header)
            return {
                tile_id: Tile(jpeg=jpeg, um_px=um_px, stain=stain).to_bytes()
                for tile_id, jpeg in cut_tiles(reader, placements, self._policy)
            }

    def _make_batches(self, now: float) -> None:
        waiting = self._vault.waiting_tiles(self._route.name, terms_of(self._route))
        for tile_ids in compose(waiting, self._policy):
            name = batch_id(self._keys.sampling_key, route=self._route.name, tile_ids=tile_ids)
            batch = Batch(
                parcel_id=name,
                route=self._route.name,
                policy_digest=self._route.policy_digest,
                made_at=now,
            )
            self._vault.make_batch(batch, tile_ids)

    def _products(self, batch: Batch) -> tuple[Product, ...]:
        contents = self._vault.batch_tiles(batch.parcel_id)
        tiles = {tile_id: Tile.from_bytes(content) for tile_id, content in contents.items()}
        recipient = self._keys.pseudonyms.for_recipient(self._route.recipient)
        return products_of(self._route, batch.parcel_id, tiles, recipient=recipient)


def terms_of(route: Route) -> str:
    """Give the digest of what a tile was cut for: its recipient and the plan.

    What waits in the pool when either changes stays there: under other terms it never leaves.
    """
    plan = route.policy.plan_digest if isinstance(route.policy, ColouredTiles) else ""
    return hashlib.sha256(json.dumps([route.recipient, plan]).encode()).hexdigest()


def read_class_map(folder: Path, findings: Findings) -> ClassMap:
    """Read `class_map.png` `(rows, columns)` uint8.

    Raises
    ------
    RejectedError
        It is missing, damaged or of another size than the findings say.
    """
    try:
        with Image.open(folder / CLASS_MAP_PNG) as image:
            class_map = np.array(image, dtype=np.uint8)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise RejectedError("The class map of this slide cannot be read.") from error
    if class_map.shape != (findings.rows, findings.columns):
        raise RejectedError("The class map of this slide does not fit its findings.")
    return class_map


REFUSALS = (PolicyRefused, UnsuitableSlide)
"""What a tile route may say about a slide without stopping its report."""
