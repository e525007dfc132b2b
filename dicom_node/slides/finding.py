"""Find slides by a container identifier that somebody has at hand; nothing is told but opaque ids.

The release daemon shows identities, a screenful at a time. To search one among ten thousand slides
it would have to show all of them; the node has an index, and whoever asks knows the name already.
"""

from collections.abc import Mapping
from typing import Any, Final

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipts

LONGEST_NAME: Final = 64
"""Characters that DICOM allows in a Container Identifier."""


def find_command(*, receipts: Receipts, journal: Journal) -> Command:
    """Make the action `find` of the node's socket.

    Its argument is `container_identifier`, compared in full; it answers `{"slide_ids": […]}`, the
    newest first. One audit event is committed for each call before the receipts are read. It does
    not say what was looked for: the journal holds no identity.
    """

    def find(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        name = arguments.get("container_identifier")
        if not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_NAME:
            raise ForbiddenAction(
                f"A container identifier has 1 to {LONGEST_NAME} characters; type it in full."
            )
        journal.note(operator.name, "find", "Looked for the slides of one container identifier.")
        return {"slide_ids": list(receipts.slides_of_container(name.strip()))}

    def refused(operator: Operator) -> None:
        journal.note(operator.name, "find", "Was refused: has not the role of a technician.")

    return Command(role=Role.TECHNICIAN, run=find, refused=refused)
