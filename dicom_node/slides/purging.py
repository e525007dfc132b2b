"""Purging the originals of a slide that an archive holds: an operator asks, `fate` decides."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import ZONES, Role, Stage, State
from appliance.storage import Root
from appliance.stores.deposits import Deposits
from appliance.stores.journal import Journal
from appliance.stores.originals import Original, Originals
from dicom_node.slides.fate import why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Removes the received objects and the published folders of a slide that is done.

    The receipts stay: a storage commitment request is still answered from them, and an object that
    comes again is kept again.

    Attributes
    ----------
    originals, deposits, journal
        The stores.
    root
        The zones.
    path_of
        Where the object with a content hash lies.
    archive_routes
        Names of the routes that are to get every original first.
    archiving_scanners
        Calling AE titles of the scanners that file their slides in an archive themselves.
    """

    originals: Originals
    deposits: Deposits
    journal: Journal
    root: Root
    path_of: Callable[[str], Path]
    archive_routes: Collection[str]
    archiving_scanners: Collection[str]

    def look(self, slide_id: str) -> dict[str, Any]:
        """Say how many objects and bytes a purge would remove; raises what `run` would."""
        self._check(slide_id)
        held = self.originals.held(slide_id)
        reason = why_not(held, archiving_scanners=self.archiving_scanners)
        if reason is not None:
            raise ForbiddenAction(reason)
        return _figures(held) | {"words": f"{_amount(held)} are removed; an archive holds them."}

    def run(self, slide_id: str, *, operator: str) -> dict[str, Any]:
        """Purge a slide; give how many objects and bytes that were.

        Raises
        ------
        ForbiddenAction
            The slide is not done, or its originals may be the only ones.
        """
        self._check(slide_id)
        purged = self.originals.end(
            slide_id, why_not=partial(why_not, archiving_scanners=self.archiving_scanners)
        )
        self.originals.remove(purged, lambda sha256: self.path_of(sha256).unlink(missing_ok=True))
        for folder in self.root.zone(ZONES[Stage.ASSEMBLE]).glob(f"{slide_id}@*"):
            shutil.rmtree(folder, ignore_errors=True)
        words = f"The originals were purged: {_amount(purged)}."
        self.journal.note(operator, "purged", words, slide_id=slide_id)
        return _figures(purged) | {"words": words}

    def _check(self, slide_id: str) -> None:
        status = self.journal.board.slide(slide_id)
        if status is None:
            raise ForbiddenAction("The node knows no slide of this id.")
        if status.state is not State.DONE:
            raise ForbiddenAction("Only a slide that is done can be purged.")
        for route in self.archive_routes:
            self.deposits.enqueue(route)

    def commands(self) -> dict[str, Command]:
        """Give what an administrator can ask for."""

        def purge(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
            slide_id = str(arguments.get("slide_id", ""))
            if arguments.get("dry_run"):
                return {"done": "nothing", **self.look(slide_id)}
            return {"done": "purge", **self.run(slide_id, operator=operator.name)}

        return {"purge": Command(role=Role.ADMINISTRATOR, run=purge)}


def _figures(some: Sequence[Original]) -> dict[str, Any]:
    return {"objects": len(some), "bytes": sum(one.size_bytes for one in some)}


def _amount(some: Sequence[Original]) -> str:
    n_bytes = sum(one.size_bytes for one in some)
    return f"{len(some)} objects, {n_bytes / 1e6:.1f} MB"
