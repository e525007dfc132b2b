"""A route of every tile to the hospital's own model servers: asked at once, nothing waits."""

from collections.abc import Iterator
from dataclasses import replace

from anonymizer.release.limits import waiting
from anonymizer.release.opened import OpenedSlide, ReleaseKeys
from anonymizer.release.parcels import Outboxes, Product
from anonymizer.release.tile_route import read_class_map
from anonymizer.tiles.cut import stain_of
from anonymizer.tiles.every import GridTile, TileNames, every_tile, read_tiles, sampler_of
from anonymizer.tiles.pool import batch_id
from anonymizer.tiles.shards import Tile, shard
from appliance.errors import ConfigError, PolicyRefused
from appliance.line import Parcel, Verdict
from appliance.settings import EveryTile, Route
from appliance.slides.findings import read_findings
from appliance.slides.reader import SlideReader, open_slide
from appliance.slides.sampling import Sampler
from appliance.stores.journal import Journal
from appliance.stores.vault import Vault
from appliance.stores.vault_asked import AskedTile, Asking

_TILES_A_PARCEL = 256
_PIXEL_BYTES_A_PARCEL = 2**25
"""Parcels are built in memory, and so are their answers: a map of a class is a third larger."""


class SiteRoute:
    """One route to servers of the site.

    Parameters
    ----------
    route
        Checked settings of the route, with its policy.
    vault
        What was asked.
    keys
        The sampling key names the tiles.
    """

    def __init__(self, route: Route, *, vault: Vault, keys: ReleaseKeys) -> None:
        if not isinstance(route.policy, EveryTile):
            raise ConfigError(f"The route {route.name} has no plan for tiles.")
        self._route = route
        self._policy: EveryTile = route.policy
        self._vault = vault
        self._keys = keys

    def post(
        self, slide: OpenedSlide, *, outboxes: Outboxes, journal: Journal, now: float
    ) -> tuple[str, tuple[Parcel, ...]]:
        """Ask about every tile of a slide, once for the same images.

        Whoever is killed before the journal knows a parcel publishes the same bytes again.

        Returns
        -------
        tuple of str and tuple of Parcel
            One sentence for the slide's events, and what was published.

        Raises
        ------
        PolicyRefused
            The slide is not accepted, too coarse, or has no clean tissue.
        UnsuitableSlide
            A frame is damaged.
        """
        findings = read_findings(slide.findings)
        if findings.verdict is not Verdict.ACCEPT:
            raise PolicyRefused("A slide that is not accepted gives no tiles.")
        with open_slide(sorted(slide.deid.glob("*.dcm"))) as reader:
            sampler = sampler_of(reader, self._policy)
            tiles = every_tile(
                read_class_map(slide.findings, findings),
                class_map_um_px=findings.class_map_um_px,
                sampler=sampler,
                policy=self._policy,
                names=self._names(slide),
            )
            if not tiles:
                raise PolicyRefused("No field of this slide holds enough clean tissue.")
            if not self._vault.grant(slide.container, self._route.recipient, "every_tile"):
                raise PolicyRefused("This recipient was given something else of this container.")
            asked = self._ask(slide, tiles, sampler, now)
            if asked is None:
                return f"Route {self._route.name}: asked before, under other terms.", ()
            size = asked.tiles_a_parcel or self._tiles_a_parcel
            divided = tuple(tiles[at : at + size] for at in range(0, len(tiles), size))
            parcels = tuple(
                outboxes.post((product,), parcel=parcel, route=self._route, now=now)
                for parcel, product in self._parcels(slide, divided, reader, sampler, journal)
            )
        words = f"{len(tiles)} tiles in {len(parcels)} parcels; answers are waited for."
        words += waiting(parcels)
        return f"Route {self._route.name}: {words if parcels else 'asked before.'}", parcels

    def _names(self, slide: OpenedSlide) -> TileNames:
        return TileNames(
            key=self._keys.sampling_key, recipient=self._route.recipient, source=slide.deid.name
        )

    def _ask(
        self, slide: OpenedSlide, tiles: tuple[GridTile, ...], sampler: Sampler, now: float
    ) -> Asking | None:
        """Write down what is asked; None when other things were asked about the same images.

        Asked before, tiles stay divided as they were then: by other limits their parcels would
        have other names, and all of them would leave again.
        """
        asking = Asking(
            slide_id=slide.slide_id,
            route=self._route.name,
            source=slide.deid.name,
            um_px=sampler.um_px,
            cell_px=self._policy.tile_px,
            side_px=self._policy.tile_px,
            n_tiles=len(tiles),
            tiles_a_parcel=self._tiles_a_parcel,
        )
        asked = [
            AskedTile(tile_id=tile.tile_id, row_px=tile.row_px, column_px=tile.column_px, turn=0)
            for tile in tiles
        ]
        if self._vault.asked.ask(asking, asked, now=now):
            return asking
        kept = self._vault.asked.asked(slide.slide_id, self._route.name)
        same = kept is not None and replace(kept, tiles_a_parcel=asking.tiles_a_parcel) == asking
        return kept if same else None

    @property
    def _tiles_a_parcel(self) -> int:
        """As many as memory and the limits of a day allow."""
        by_memory = max(1, _PIXEL_BYTES_A_PARCEL // (3 * self._policy.tile_px**2))
        a_day = self._route.limits.tiles_per_day or _TILES_A_PARCEL
        return min(_TILES_A_PARCEL, by_memory, a_day)

    def _parcels(
        self,
        slide: OpenedSlide,
        divided: tuple[tuple[GridTile, ...], ...],
        reader: SlideReader,
        sampler: Sampler,
        journal: Journal,
    ) -> Iterator[tuple[Parcel, Product]]:
        """Make the parcels that the journal does not know, of neighbouring tiles each."""
        stain = stain_of(reader.header)
        for some in divided:
            ids = [tile.tile_id for tile in some]
            name = batch_id(self._keys.sampling_key, route=self._route.name, tile_ids=ids)
            if journal.parcels.known(name):
                continue
            files = {
                tile_id: Tile(jpeg=png, um_px=sampler.um_px, stain=stain)
                for tile_id, png in read_tiles(sampler, some, tile_px=self._policy.tile_px)
            }
            content = shard(files, ending="png")
            yield (
                Parcel(
                    parcel_id=name,
                    route=self._route.name,
                    kind="tiles",
                    folder=f"{name}@{slide.token}",
                    slide_id=None,
                ),
                Product(name=f"{name}.tar", kind="tiles", content=content, n_tiles=len(files)),
            )
