"""The settings file that the answers make, annotated: it can be read and changed by hand."""

import ipaddress
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tui.wizard import questions as ask
from tui.wizard.questions import Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedModel:
    """A model that comes with the appliance."""

    name: str
    version: str
    folder: str
    digest: str
    task: str = ""
    intended_use: str = ""


NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,6})?")
TILE = "tiles"
"""Task of a model that quality control does without."""
NOTE = "\x1f"
"""Stands between a value and its comment; no quoted answer can hold it."""

HEAD = """\
# Coverslip settings, written by coverslip setup on {day}.
# Read once at the start of each daemon: restart after a change.
# Check it with: coverslip --settings THIS_FILE check-config
# All that can be set stands in docs/coverslip.toml.
# Secrets are never in here.

[storage]
root = {root}{note}on an encrypted volume: originals lie here until purged
soft_free_gib = {soft}{note}below this, scanners are asked to send later
hard_free_gib = {hard}{note}below this, objects are refused

[keys]
folder = {keys}{note}made by: coverslip keys init

[node]
ae_title = {ae}{note}what scanners and the PACS call us
host = {host}
port = {port}
"""
NO_TLS = """\
# Clear text. With TLS: docs/coverslip.toml, [node.tls].
"""
SCANNER = """
[[scanners]]
name = {name}{note}shown on the screen
ae_title = {ae}
addresses = [{addresses}]{note}anyone else is rejected
"""
INFERENCE = """
[inference]
device = {device}{note}auto | cpu | gpu
"""
MODEL = """
[[inference.models]]{note}{words}
folder = {folder}
digest = {digest}
"""
PACS = """
# Reports with the true patient. Its address must lie in `addresses`.
[[routes]]
name = "pacs"
recipient = "hospital"
place = "inside"
kind = "dimse"
carries = ["SR", "SEG"]
addresses = [{addresses}]
peer = {{ ae_title = {ae}, host = {host}, port = {port}, calling_ae_title = {calling}{tls} }}
"""
OPERATORS = """
# System groups whose members have a role.
[operators]
viewer_group = {viewer}
technician_group = {technician}
administrator_group = {administrator}
"""


def write(answers: Answers, models: Sequence[PinnedModel], *, now: float) -> str:
    """Write the file that the answers make; an answer that does not fit is found by its check.

    Parameters
    ----------
    answers
        To every question, by its id.
    models
        Those that come with the appliance.
    now
        Seconds since the epoch.
    """
    parts = [
        HEAD.format(
            note=NOTE,
            day=time.strftime("%Y-%m-%d", time.localtime(now)),
            root=quoted(answers[ask.ROOT]),
            soft=number(answers[ask.SOFT]),
            hard=number(answers[ask.HARD]),
            keys=quoted(answers[ask.KEYS]),
            ae=quoted(answers[ask.AE]),
            host=quoted(answers[ask.HOST]),
            port=number(answers[ask.PORT]),
        ),
        NO_TLS,
        *_scanners(answers),
        INFERENCE.format(note=NOTE, device=quoted(answers[ask.DEVICE])),
        *(_model(model) for model in models if runs(model, answers)),
        _pacs(answers),
        OPERATORS.format(
            note=NOTE,
            viewer=quoted(answers["operators.viewer"]),
            technician=quoted(answers["operators.technician"]),
            administrator=quoted(answers["operators.administrator"]),
        ),
    ]
    return "".join(map(_tidy, parts))


def _scanners(answers: Answers) -> list[str]:
    found = []
    for key in scanner_keys(answers):
        addresses = ", ".join(map(quoted, parted(answers[f"{key}.addresses"])))
        found.append(
            SCANNER.format(
                note=NOTE,
                name=quoted(answers[f"{key}.name"]),
                ae=quoted(answers[f"{key}.ae_title"]),
                addresses=addresses,
            )
        )
    return found


def scanner_keys(answers: Answers) -> list[str]:
    """Give the ids of the scanners that have a name, in the order of the file."""
    keys = (id_.removesuffix(".name") for id_ in answers if id_.startswith("scanners."))
    unique = dict.fromkeys(key for key in keys if f"{key}.name" in answers)
    return [key for key in unique if answers[f"{key}.name"].strip()]


def runs(model: PinnedModel, answers: Answers) -> bool:
    """Whether a model is to run: the two that quality control needs, and those that are named."""
    return model.task != TILE or model.name in parted(answers[ask.ALSO])


def _model(model: PinnedModel) -> str:
    return MODEL.format(
        note=NOTE,
        words=f"{model.name} {model.version}",
        folder=quoted(model.folder),
        digest=quoted(model.digest),
    )


def _pacs(answers: Answers) -> str:
    host = answers[ask.PACS_HOST].strip()
    if not host:
        return ""
    ca, waiver = answers[ask.PACS_CA].strip(), answers[ask.PACS_WAIVER].strip()
    text = PACS.format(
        note=NOTE,
        addresses=quoted(only(host)),
        ae=quoted(answers[ask.PACS_AE]),
        host=quoted(host),
        port=number(answers[ask.PACS_PORT]),
        calling=quoted(answers[ask.AE]),
        tls=f", tls = {{ ca = {quoted(ca)} }}" if ca else "",
    )
    return text + (f"waiver = {quoted(waiver)}\n" if waiver else "")


def only(host: str) -> str:
    """Give the range that holds this address and no other; a name is left as it is."""
    try:
        return str(ipaddress.ip_network(host))
    except ValueError:
        return host


def parted(text: str) -> list[str]:
    """Part what was written with commas or spaces."""
    return text.replace(",", " ").split()


def quoted(text: str) -> str:
    """Write text as a TOML string."""
    # A surrogate has no place in a file; what else JSON escapes, TOML reads alike.
    sound = text.strip().encode("utf-8", "replace").decode()
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007f")


def number(text: str) -> str:
    """Write a number, or what is none as a string, for the check to find."""
    text = text.strip()
    return text if NUMBER.fullmatch(text) else quoted(text)


def _tidy(part: str) -> str:
    """Put comments behind values into one column where there is room."""
    lines = []
    for line in part.split("\n"):
        code, note, comment = line.partition(NOTE)
        lines.append(f"{code:<31} # {comment}" if note else line)
    return "\n".join(lines)
