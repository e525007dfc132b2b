"""Purging the originals of a slide that an archive holds: an operator asks, `fate` decides."""

import shutil
from collections.abc import Callable, Collection, Mapping
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
from appliance.stores.originals import Originals
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

    def run(self, slide_id: str, *, operator: str) -> dict[str, int]:
        """Purge a slide; give how many objects and bytes that were.

        Raises
        ------
        ForbiddenAction
            The slide is not done, or its originals may be the only ones.
        """
        status = self.journal.board.slide(slide_id)
        if status is None:
            raise ForbiddenAction("The node knows no slide of this id.")
        if status.state is not State.DONE:
            raise ForbiddenAction("Only a slide that is done can be purged.")
        for route in self.archive_routes:
            self.deposits.enqueue(route)
        purged = self.originals.end(
            slide_id, why_not=partial(why_not, archiving_scanners=self.archiving_scanners)
        )
        self.originals.remove(purged, lambda sha256: self.path_of(sha256).unlink(missing_ok=True))
        for folder in self.root.zone(ZONES[Stage.ASSEMBLE]).glob(f"{status.slide_id}@*"):
            shutil.rmtree(folder, ignore_errors=True)
        n_bytes = sum(one.size_bytes for one in purged)
        words = f"The originals were purged: {len(purged)} objects, {n_bytes / 1e6:.0f} MB."
        self.journal.note(operator, "purged", words, slide_id=slide_id)
        return {"objects": len(purged), "bytes": n_bytes}

    def commands(self) -> dict[str, Command]:
        """Give what an administrator can ask for."""

        def purge(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
            done = self.run(str(arguments.get("slide_id", "")), operator=operator.name)
            return {"done": "purge", **done}

        return {"purge": Command(role=Role.ADMINISTRATOR, run=purge)}
