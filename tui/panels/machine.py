"""The machine on the system screen: the disk and when it is full, cores, memory, GPU. Pure."""

from textual.content import Content

from appliance.facts import Computing
from tui import amounts, words
from tui.forecast import Forecast
from tui.health import GIB, disk_forecast
from tui.machine import Machine
from tui.panels.summary import hanging, lines
from tui.rows import fitted, toned
from tui.view import View
from tui.words import Tone

LABEL_WIDTH = 9
NOT_KNOWN = "Not known yet."
BUSY_SHARE = 0.9
"""From here on a bar is shown as a warning."""
LONGEST_BAR = 24
DEVICES = {"cpu": "the cores", "gpu": "the GPU"}


def disk(view: View, width: int) -> Content:
    """Show how full the disk is, and what happens when."""
    if view.snapshot is None or view.snapshot.disk is None:
        return toned(NOT_KNOWN, "quiet")
    found = view.snapshot.disk
    storage = view.settings.storage
    free_gib = found.free_bytes / GIB
    tone: Tone = "good"
    if free_gib < storage.soft_free_gib:
        tone = "bad" if free_gib < storage.hard_free_gib else "warn"
    used = 1 - found.free_bytes / max(1, found.total_bytes)
    filled, rest = amounts.bar(used, max(10, min(40, width - 12)))
    limits = (
        f"Below {storage.soft_free_gib:g} GiB new transfers are put off, below "
        f"{storage.hard_free_gib:g} GiB nothing is taken."
    )
    expected = disk_forecast(view.snapshot, view.settings)
    return lines(
        [
            Content.assemble(
                toned(filled, tone), toned(rest, "quiet"), f"  {amounts.share(used)} used"
            ),
            Content.assemble(
                toned(amounts.gib(found.free_bytes), tone, bold=True),
                f" free of {amounts.gib(found.total_bytes)}",
            ),
            hanging(Content(""), forecast_sentence(expected), width),
            hanging(Content(""), limits, width).stylize(words.TONES["quiet"]),
        ]
    )


def forecast_sentence(expected: Forecast | None) -> str:
    """Say when the disk will be full, at the rate of the last days."""
    if expected is None:
        return "When it is full is not known yet: that takes two hours of samples."
    if expected.full_in_s is None:
        return "It is not filling."
    if expected.full_in_s <= 0:
        return "It is full."
    fills = f"It fills by {amounts.size(expected.bytes_a_day)} a day"
    return f"{fills}: full in {amounts.about(expected.full_in_s)}."


def machine(view: View, width: int) -> Content:
    """Show how busy cores, memory and GPU are, and what models run on."""
    found = view.system.machine if view.system else None
    computing = view.system.of("infer").computing if view.system else None
    parts = [*(_machine(found, width) if found else []), *(_computing(computing, width))]
    return lines(parts) if parts else toned(NOT_KNOWN, "quiet")


def _machine(found: Machine, width: int) -> list[Content]:
    cores = amounts.counted(found.n_cores, "core")
    used = found.memory_used_bytes / max(1, found.memory_total_bytes)
    memory = f"{amounts.gib(found.memory_used_bytes)} of {amounts.gib(found.memory_total_bytes)}"
    return [
        _gauge("cores", found.busy_share, f"of {cores}", width),
        _gauge("memory", used, memory, width),
    ]


def _computing(found: Computing | None, width: int) -> list[Content]:
    if found is None:
        return []
    parts = []
    for gpu in found.gpus:
        memory = f"{amounts.gib(gpu.memory_used_bytes)} of {amounts.gib(gpu.memory_total_bytes)}"
        parts.append(_gauge("GPU", gpu.busy_share, f"{gpu.name}, {memory}", width))
    workers = amounts.counted(found.workers, "worker")
    device = DEVICES.get(found.device, found.device)
    sentence = f"Models run on {device}: {found.runtime}, {workers}."
    return [*parts, hanging(Content(""), sentence, width).stylize(words.TONES["quiet"])]


def _gauge(label: str, part: float | None, text: str, width: int) -> Content:
    if part is None:
        return Content.assemble(fitted(Content(label), LABEL_WIDTH), toned(text, "quiet"))
    room = max(8, min(LONGEST_BAR, width - LABEL_WIDTH - 7 - len(text) - 2))
    filled, rest = amounts.bar(part, room)
    tone: Tone = "warn" if part >= BUSY_SHARE else "busy"
    return Content.assemble(
        fitted(Content(label), LABEL_WIDTH),
        toned(filled, tone),
        toned(rest, "quiet"),
        f" {100 * part:3.0f} %  ",
        toned(text, "quiet"),
    )
