"""What the system screen says, card by card; each is a pure function from a view to text."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from textual.content import Content

from tui import line_panels, machine_panels, route_panels, version_panels
from tui.daemon_panels import daemons
from tui.intake_panels import scanners
from tui.panels import lines
from tui.policy_panels import policies
from tui.view import View
from tui.widgets.bars import alarm_line

Draw = Callable[[View, int], Content]
"""Draws a view for so many cells of width."""

LEFT: Mapping[str, Draw] = MappingProxyType(
    {
        "disk": machine_panels.disk,
        "machine": machine_panels.machine,
        "queues": line_panels.queues,
        "throughput": line_panels.throughput,
        "scanners": scanners,
    }
)
RIGHT: Mapping[str, Draw] = MappingProxyType(
    {
        "daemons": daemons,
        "routes": route_panels.routes,
        "models": version_panels.models,
        "keys": version_panels.keys,
        "software": version_panels.software,
    }
)
BELOW: Mapping[str, Draw] = MappingProxyType({"policies": policies})
CARDS: Mapping[str, Draw] = MappingProxyType({**LEFT, **RIGHT, **BELOW})
"""Each card of the screen and what draws it; two columns where there is room, then what is wide."""


def alarms(view: View) -> Content:
    """Give every alarm."""
    return lines([alarm_line(alarm) for alarm in view.alarms])
