"""Delivery of tiles to model servers of one recipient; their answers come back with it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from appliance.answers import Answers
from appliance.errors import DeliveryRefused
from appliance.manifest import VerifiedParcel
from appliance.settings import Route
from dicom_node.model_servers.asking import Round
from dicom_node.model_servers.checking import Terms
from dicom_node.model_servers.endpoint import Endpoint
from dicom_node.model_servers.kept import Kept, forget, terms_of
from dicom_node.model_servers.shard import Shard
from dicom_node.routes.delivery import Delivery
from dicom_node.status import PeerBusy


class ModelServersRoute:
    """Asks the servers of a route about the tiles of each parcel.

    Several threads may deliver at the same time; what is under way at one server is counted over
    all of them.

    Parameters
    ----------
    route
        With its servers, its model and its plan.
    folder
        `answers/<route>/`, where answers are kept until all of a parcel are there.
    clock
        Seconds that only ever grow.

    Raises
    ------
    ConfigError
        The `model.toml` of the route is missing or another than the settings pin, or a token or a
        file of TLS cannot be read.
    """

    def __init__(
        self, route: Route, *, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = route.name
        self._folder = folder
        self._terms = Terms.of(route)
        self._endpoints = tuple(
            Endpoint(server, self._terms, clock=clock) for server in route.servers
        )
        for endpoint in self._endpoints:
            endpoint.check_settings()

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:  # noqa: ARG002  no matter
        """Ask about every tile of a parcel that nobody has answered yet.

        Raises
        ------
        PeerUnavailable
            No server is left that may answer now.
        DeliveryRefused
            No server fits the settings, or the parcel holds no shard of tiles.
        ConfigError
            A token or a file of TLS cannot be read.
        """
        shard = Shard(_only_file(parcel), side_px=self._terms.side_px)
        parcel_id, n_tiles = parcel.manifest.parcel_id, len(shard.tile_ids)
        size = self._terms.model.batch
        batches = tuple(range(at, min(at + size, n_tiles)) for at in range(0, n_tiles, size))
        kept = Kept(self._folder, parcel_id, terms=terms_of(self._terms.model, shard.tile_ids))
        try:
            words = self._ask(shard, batches, kept)
        finally:
            kept.close()
        values = [kept.values[number] for number in range(len(batches))]
        if len({one.shape[1:] for one in values}) != 1:
            forget(self._folder, parcel_id)
            raise DeliveryRefused("The model servers of the route answer in different shapes.")
        answers = Answers(
            parcel_id=parcel_id,
            route=self._name,
            tile_ids=shard.tile_ids,
            values=np.concatenate(values),
        )
        return Delivery(
            words=f"Answered by model servers: tiles {n_tiles}{words}",
            answers=answers,
            sent_bytes=n_tiles * self._terms.side_px**2 * 3,
        )

    def _ask(self, shard: Shard, batches: tuple[range, ...], kept: Kept) -> str:
        """Ask about what is not kept; say who answered, and who was left out."""
        open_batches = [number for number in range(len(batches)) if number not in kept.values]
        if not open_batches:
            return "; all had been answered before a restart."
        asking = Round(
            self._rested(),
            open_batches,
            decode=lambda number: shard.decode(batches[number]),
            settle=kept.add,
            timeout_s=self._terms.model.timeout_s,
        )
        asking.run()
        who = ", ".join(f"{name} {n}" for name, n in sorted(asking.answered.items()))
        faults = " ".join(str(fault) for fault in asking.faults.values())
        return f" (requests: {who}).{f' Left out: {faults}' if faults else ''}"

    def _rested(self) -> tuple[Endpoint, ...]:
        rested = tuple(one for one in self._endpoints if not one.rests_for_s())
        if not rested:
            names = ", ".join(one.name for one in self._endpoints)
            after_s = min(one.rests_for_s() for one in self._endpoints)
            raise PeerBusy(
                f"After faults, no model server of the route is asked for now: {names}.",
                after_s=after_s,
            )
        return rested


def _only_file(parcel: VerifiedParcel) -> IO[bytes]:
    if len(parcel.files) != 1:
        raise DeliveryRefused("A parcel for model servers holds one shard of tiles.")
    (file,) = parcel.files.values()
    return file
