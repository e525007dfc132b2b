"""What the servers of an outside recipient are asked: the tiles of its one sample of a slide."""

from anonymizer.release.opened import OpenedSlide
from anonymizer.tiles.plan import grid_digest, placements_from_bytes
from appliance.settings import ColouredTiles, Route
from appliance.stores.vault import Sampling, Vault
from appliance.stores.vault_asked import AskedTile, Asking


def ask_about_sample(slide: OpenedSlide, route: Route, *, vault: Vault, now: float) -> int:
    """Write down that answers about a recipient's sample of this scan are waited for, once.

    Whoever is killed after the sample was taken does it the next time. Nothing is waited for when
    the sample is another scan's, or was taken under another plan.

    Returns
    -------
    int
        How many tiles are waited for anew.
    """
    policy = route.policy
    asked = vault.asked
    if not isinstance(policy, ColouredTiles) or asked.asked(slide.slide_id, route.name) is not None:
        return 0
    for sampling in vault.samplings(slide.container):
        if _is_of(sampling, slide, route) and sampling.plan_digest == grid_digest(policy):
            placements = placements_from_bytes(sampling.placements)
            asking = Asking(
                slide_id=slide.slide_id,
                route=route.name,
                source=slide.deid.name,
                um_px=policy.um_px,
                cell_px=policy.cell_px,
                side_px=policy.crop_px,
                n_tiles=len(placements),
            )
            tiles = [
                AskedTile(
                    tile_id=one.tile_id, row_px=one.row_px, column_px=one.column_px, turn=one.turn
                )
                for one in placements
            ]
            asked.ask(asking, tiles, now=now)
            return len(tiles)
    return 0


def _is_of(sampling: Sampling, slide: OpenedSlide, route: Route) -> bool:
    return (sampling.recipient, sampling.slide_id) == (route.recipient, slide.slide_id)
