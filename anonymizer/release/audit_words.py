"""What the audit record says of a parcel: to whom, how much, under which policy. No patient."""

from anonymizer.tiles.fit import declared
from appliance.manifest import Manifest
from appliance.settings import ColouredTiles, Route
from appliance.stores.vault_departures import Load


def words_of_parcel(manifest: Manifest, route: Route, load: Load) -> str:
    """Say in words what a signed parcel is.

    Parameters
    ----------
    manifest
        As it was signed.
    route
        Its route, with the policy of that digest.
    load
        How much it holds.
    """
    policy = route.policy
    aside = {"mechanism", "statement", "colludes_with"}
    terms = ", ".join(
        f"{name} {value}" for name, value in policy.model_dump(mode="json", exclude=aside).items()
    )
    tiles = f"{load.n_tiles} tiles, " if load.n_tiles else ""
    colludes = ""
    if isinstance(policy, ColouredTiles):
        colludes = f" Colludes with: {declared(policy)}."
    return (
        f"Parcel {manifest.parcel_id} for route {route.name} to {route.recipient} ({route.place}, "
        f"{route.kind}): {manifest.kind}, {tiles}{len(manifest.files)} files, "
        f"{load.size_bytes} bytes. Policy {manifest.policy_digest}: {policy.mechanism}"
        f"{f' ({terms})' if terms else ''}.{colludes} Signed with key {manifest.key_id}."
    )
