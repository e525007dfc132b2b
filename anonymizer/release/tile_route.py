"""A route of shuffled tiles: sample a slide once into the pool."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from anonymizer.pseudonyms import text_of
from anonymizer.release.opened import OpenedSlide, ReleaseKeys
from anonymizer.release.tile_batches import terms_of
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
from anonymizer.tiles.shards import Tile
from appliance.errors import (
    ConfigError,
    IdentityDoubt,
    PolicyRefused,
    RejectedError,
    UnsuitableSlide,
)
from appliance.line import Verdict
from appliance.settings import ColouredTiles, Route
from appliance.slides.findings import CLASS_MAP_PNG, Findings, read_findings
from appliance.slides.reader import open_slide
from appliance.stores.vault import Basis, Sampling, Vault


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
        self.policy: ColouredTiles = route.policy
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
            policy=self.policy,
            placements=placements,
        )
        sampling = self._sampling(slide, placements)
        stain, tiles = self._cut(slide, placements)
        recipient = self._route.recipient
        if not self._vault.grant(sampling.container, recipient, "tiles"):
            raise PolicyRefused("This recipient was given something else of this container.")
        self._vault.sample(
            sampling,
            route=self._route.name,
            tiles=tiles,
            terms=terms_of(self._route, stain),
            basis=basis,
        )
        return f"Route {self._route.name}: {len(tiles)} tiles wait in the pool."

    def _basis(self, slide: OpenedSlide) -> Basis:
        if not text_of(slide.inverse.header, "PatientID"):
            raise PolicyRefused(
                "The slide has no Patient ID, so the tiles of its patient could not be counted."
            )
        container = slide.inverse.subject.container_identifier
        if not container:
            raise PolicyRefused(
                "The slide has no container identifier, so a second sample could not be told."
            )
        return self._vault.basis(container, patient=slide.patient, recipient=self._route.recipient)

    def _plan(self, slide: OpenedSlide, findings: Findings, *, given: int) -> tuple[Placement, ...]:
        subject = slide.inverse.subject
        budget = self.policy.max_tiles_per_patient - given
        if budget <= 0:
            raise PolicyRefused("This recipient was given all tiles of this patient it may have.")
        placements = plan_tiles(
            read_class_map(slide.findings, findings),
            class_map_um_px=findings.class_map_um_px,
            policy=self.policy,
            sampler=Sampler.derive(
                self._keys.sampling_key,
                container=subject.container_identifier,
                recipient=self._route.recipient,
            ),
            n_at_most=budget,
        )
        if not placements:
            raise PolicyRefused("No field of this slide is clean tissue all over.")
        fewest = min(self.policy.min_tiles_per_slide, budget)
        if self.policy.few_tiles == "refuse" and len(placements) < fewest:
            raise PolicyRefused("The slide gives too few tiles for this route to hide among.")
        return placements

    def _sampling(self, slide: OpenedSlide, placements: tuple[Placement, ...]) -> Sampling:
        return Sampling(
            container=slide.inverse.subject.container_identifier,
            recipient=self._route.recipient,
            patient=slide.patient,
            slide_id=slide.slide_id,
            place=self._route.place,
            plan_digest=grid_digest(self.policy),
            colludes_with=declared(self.policy),
            n_tiles=len(placements),
            placements=placements_to_bytes(placements),
        )

    def _cut(
        self, slide: OpenedSlide, placements: tuple[Placement, ...]
    ) -> tuple[str, dict[str, bytes]]:
        """Cut the tiles; give their stain, and the content of each by its id."""
        um_px = self.policy.um_px
        with open_slide(sorted(slide.deid.glob("*.dcm"))) as reader:
            stain = stain_of(reader.header)
            return stain, {
                tile_id: Tile(jpeg=jpeg, um_px=um_px, stain=stain).to_bytes()
                for tile_id, jpeg in cut_tiles(reader, placements, self.policy)
            }


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


REFUSALS = (PolicyRefused, UnsuitableSlide, IdentityDoubt)
"""What a tile route may say about a slide without stopping its report."""
