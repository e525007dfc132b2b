"""Show the identity of slides to a technician: the only way it is ever shown, and audited."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from anonymizer.pseudonyms import text_of
from anonymizer.quiet import FOREIGN, quiet_pydicom
from anonymizer.release.opened import ReleaseKeys, open_identity, read_sealed
from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction, IdentityDoubt, RejectedError
from appliance.line import Role, Stage
from appliance.storage import Root
from appliance.stores.journal import Journal
from appliance.stores.vault import Vault

_SCREENFUL: Final = 200
"""Slides in one request: a screen of them, not the whole register."""


def identify_command(*, journal: Journal, root: Root, vault: Vault, keys: ReleaseKeys) -> Command:
    """Make the action `identify` of the release daemon's socket.

    Its arguments are `slide_ids` (a list) and `with_patient_name` (false when absent); it answers
    `{"slides": {slide_id: {"container_identifier": …, "patient_name": …}}}` and leaves out slides
    that are not known or whose identity does not open. One audit event is committed for each call
    before the vault is touched, so one that fails or is refused is told too.
    """

    def identify(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_ids = arguments.get("slide_ids")
        if not isinstance(slide_ids, list) or len(slide_ids) > _SCREENFUL:
            journal.note(operator.name, "identify", "Was refused: asked for more than a screen.")
            raise ForbiddenAction(f"The identity of at most {_SCREENFUL} slides can be asked for.")
        with_name = arguments.get("with_patient_name") is True
        what = "container and patient name" if with_name else "container"
        journal.note(operator.name, "identify", f"Saw the {what} of {len(slide_ids)} slides.")
        shown = {}
        for slide_id in map(str, slide_ids):
            # One damaged row must not hide the other slides of the screen.
            with suppress(RejectedError):
                sealed = _sealed(slide_id, journal=journal, root=root, vault=vault)
                if sealed is not None:
                    shown[slide_id] = _shown(sealed, slide_id, keys, with_name=with_name)
        return {"slides": shown}

    def refused(operator: Operator) -> None:
        journal.note(operator.name, "identify", "Was refused: has not the role of a technician.")

    return Command(role=Role.TECHNICIAN, run=identify, refused=refused)


def _sealed(slide_id: str, *, journal: Journal, root: Root, vault: Vault) -> bytes | None:
    """Find a sealed identity: in the vault, or for a slide not yet released where it waits."""
    if vault.identity_source(slide_id) is not None:
        return vault.identity(slide_id)
    folder = journal.board.folder(slide_id, Stage.ASSEMBLE)
    return None if folder is None else read_sealed(slide_id, folder=folder, root=root)


def _shown(sealed: bytes, slide_id: str, keys: ReleaseKeys, *, with_name: bool) -> dict[str, str]:
    wanted = {"container_identifier": "ContainerIdentifier"}
    if with_name:
        wanted["patient_name"] = "PatientName"
    try:
        with quiet_pydicom():
            header = open_identity(sealed, slide_id=slide_id, keys=keys).dataset()
            return {name: text_of(header, keyword) for name, keyword in wanted.items()}
    except FOREIGN as error:
        raise IdentityDoubt("The identity of this slide cannot be read.") from error
