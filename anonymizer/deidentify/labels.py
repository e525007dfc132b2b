"""What a technician sees of a label and decides about it, through the anonymize daemon's socket."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from anonymizer.part10.reading import read_header
from anonymizer.sight.label import LabelMismatch, read_label
from anonymizer.sight.sight import Sight
from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import ZONES, Role, Stage, State
from appliance.storage import Root, plain_folder, write_durably
from appliance.stores.journal import Journal

_FILE: Final = "accepted-labels.json"
_NO_ORIGINAL: Final = "The label of this slide is not at hand: its original is not on the disk."


class AcceptedLabels:
    """Slides whose label a technician has looked at and accepted, by revision; durable.

    Parameters
    ----------
    zone
        The zone of the deidentify stage, which only the anonymize daemon writes.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / _FILE
        self._lock = threading.Lock()

    def has(self, slide_id: str, revision: int) -> bool:
        """Whether the label of a revision was accepted; a later one may be another label."""
        return self._read().get(slide_id) == revision

    def add(self, slide_id: str, revision: int) -> None:
        """Keep that a label was accepted."""
        with self._lock:
            accepted = self._read() | {slide_id: revision}
            write_durably(self._file, json.dumps(accepted, indent=1).encode("ascii"))

    def _read(self) -> dict[str, int]:
        try:
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        return dict(content)


def label_commands(
    *, journal: Journal, root: Root, sight: Sight | None, accepted: AcceptedLabels
) -> dict[str, Command]:
    """Make the actions `label` and `accept_label` of the anonymize daemon's socket.

    `label` takes `slide_id` and answers `container_identifier`, `barcodes`, `texts` and
    `agreement` (agrees, differs, unknown), read anew from the original. `accept_label` takes
    `slide_id` of a slide that was set aside for its label, and puts it back on the line. Each
    writes an audit event first.
    """

    def label(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_id = str(arguments.get("slide_id", ""))
        if sight is None or not sight.compares_label:
            raise ForbiddenAction("Labels are not read here: deidentify.label is set to ignore.")
        folder = journal.board.folder(slide_id, Stage.ASSEMBLE)
        if folder is None:
            raise ForbiddenAction(_NO_ORIGINAL)
        original = root.zone(ZONES[Stage.ASSEMBLE]) / plain_folder(folder, slide_id)
        files = sorted(original.glob("*.dcm"))
        if not files:
            raise ForbiddenAction(_NO_ORIGINAL)
        journal.note(operator.name, "label", "Saw the slide's label.", slide_id=slide_id)
        read = read_label([read_header(file) for file in files], sight.reader)
        return {
            "container_identifier": read.container_identifier,
            "barcodes": list(read.barcodes),
            "texts": list(read.texts),
            "agreement": str(read.agreement),
        }

    def accept_label(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_id = str(arguments.get("slide_id", ""))
        slide = journal.board.slide(slide_id)
        if slide is None or (slide.state, slide.error_code) != (State.ASIDE, LabelMismatch.code):
            raise ForbiddenAction("This slide was not set aside for its label.")
        journal.note(
            operator.name,
            "accept_label",
            "Accepted the slide's label though it names another slide than the header.",
            slide_id=slide_id,
        )
        accepted.add(slide_id, slide.revision)
        journal.operate("retry", slide_id, operator=operator.name)
        return {"done": "accept_label"}

    return {
        "label": Command(role=Role.TECHNICIAN, run=label),
        "accept_label": Command(role=Role.TECHNICIAN, run=accept_label),
    }
