"""The models that servers of the routes run: their manifests, pinned and fitted to the policies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.errors import ConfigError, ModelError
from appliance.settings import ColouredTiles, EveryTile, Route
from appliance.settings.peers import RemoteModel as Asked
from appliance.slides.findings import ModelUse
from inference.model.bundle import DIGEST_PREFIX
from inference.model.manifest import TILES, Model, load_manifest

REMOTE: Final = "remote"
"""`ModelUse.device` of what did not run here."""

_SAME_SCALE: Final = 0.05
"""Scanners write 0.2505 for 0.25: a model made for one is right for the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model that servers of a recipient run, and how tiles reach it."""

    route: str
    recipient: str
    model: Model
    """Its manifest; it has no network here."""
    is_sample: bool
    """Whether the route is given a sample of the tiles only."""

    def used(self, um_px: float) -> ModelUse:
        """Say that it was used, at some resolution."""
        return ModelUse(
            name=self.model.name,
            version=self.model.version,
            digest=self.model.digest,
            device=REMOTE,
            um_px=um_px,
            intended_use=self.model.intended_use,
            route=self.route,
            recipient=self.recipient,
        )


def remote_models(routes: Iterable[Route]) -> Mapping[str, RemoteModel]:
    """Load the manifests of the models that routes lead to.

    Returns
    -------
    Mapping
        By the name of the route.

    Raises
    ------
    ConfigError
        A manifest is missing, is not the pinned one, is not of a tile classifier, or is made for
        other tiles than the policy of its route cuts.
    """
    return {
        route.name: _remote(route.name, route.recipient, route.model, route.policy)
        for route in routes
        if route.model is not None and isinstance(route.policy, ColouredTiles | EveryTile)
    }


def _remote(
    route: str, recipient: str, asked: Asked, policy: ColouredTiles | EveryTile
) -> RemoteModel:
    try:
        model = load_manifest(asked.folder, digest=asked.digest.removeprefix(DIGEST_PREFIX))
    except ModelError as error:
        raise ConfigError(f"route {route}: {error}") from error
    side_px = policy.crop_px if isinstance(policy, ColouredTiles) else policy.tile_px
    if model.task != TILES:
        raise ConfigError(f"route {route}: only a model of the task tiles can run elsewhere.")
    if side_px != model.tile_px or abs(policy.um_px / model.um_px - 1) > _SAME_SCALE:
        raise ConfigError(
            f"route {route}: the policy cuts tiles of {side_px} px at {policy.um_px:g} µm/px, its "
            f"model is made for {model.tile_px} px at {model.um_px:g} µm/px."
        )
    return RemoteModel(
        route=route,
        recipient=recipient,
        model=model,
        is_sample=isinstance(policy, ColouredTiles),
    )
