"""Tiles wait here until those of enough patients can leave together. Pure; the key decides."""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence

from appliance.settings import ColouredTiles
from appliance.stores.vault_pool import PooledTile


def compose(
    waiting: Sequence[PooledTile], policy: ColouredTiles, *, key: bytes
) -> tuple[tuple[str, ...], ...]:
    """Choose batches out of the pool: fixed size, enough patients in each, the rest waits.

    Parameters
    ----------
    waiting
        Tiles of one route; their ids are random.
    policy
        `min_patients`, `max_share_of_batch` and `tiles_per_shard`.
    key
        Decides who waits for how long. Were it the ids, which leave, a patient's tiles in a batch
        would have ids near each other.

    Returns
    -------
    tuple of tuple of str
        Tile ids of each batch, sorted: the order of random ids is a random order.
    """
    queues: dict[str, list[str]] = {}
    rank = {tile.tile_id: _rank(key, tile.tile_id) for tile in waiting}
    for tile in sorted(waiting, key=lambda tile: rank[tile.tile_id]):
        queues.setdefault(tile.patient, []).append(tile.tile_id)
    batches = []
    while batch := _one_batch(queues, policy, rank):
        batches.append(batch)
        taken = frozenset(batch)
        queues = {
            patient: [tile_id for tile_id in queue if tile_id not in taken]
            for patient, queue in queues.items()
        }
    return tuple(batches)


def _one_batch(
    queues: dict[str, list[str]], policy: ColouredTiles, rank: Mapping[str, bytes]
) -> tuple[str, ...]:
    """Take tiles patient by patient in turn, so that no patient fills a batch alone."""
    size = policy.tiles_per_shard
    # The thousandth of a tile makes up for 0.29 times 100 being a little less than 29.
    most = max(1, int(policy.max_share_of_batch * size + 1e-3))
    present = [queue[:most] for queue in queues.values() if queue]
    enough = len(present) >= policy.min_patients and sum(map(len, present)) >= size
    if not enough or size < policy.min_patients:
        return ()
    rounds = (
        queue[turn]
        for turn in range(max(map(len, present)))
        # Whoever has the lowest rank goes first, so that no patient is always the one left out.
        for queue in sorted((q for q in present if len(q) > turn), key=lambda q: rank[q[turn]])
    )
    return tuple(sorted(tile_id for tile_id, _ in zip(rounds, range(size), strict=False)))


def _rank(key: bytes, tile_id: str) -> bytes:
    return hmac.digest(key, json.dumps(["coverslip/queue/1", tile_id]).encode(), "sha256")


def batch_id(
    sampling_key: bytes, *, route: str, tile_ids: Sequence[str], policy_digest: str = ""
) -> str:
    """Name a batch: random-looking, the same for the same tiles under the same policy."""
    return opaque_id(sampling_key, "batch", route, policy_digest, *tile_ids)


def opaque_id(key: bytes, *parts: str) -> str:
    """Give 26 lower-case base32 characters (128 keyed bits) that tell nothing but are stable."""
    message = json.dumps(["coverslip/parcel-id/1", *parts]).encode()
    digest = hmac.digest(key, message, "sha256")[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()
