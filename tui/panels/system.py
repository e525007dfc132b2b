"""What the system screen says, card by card; each is a pure function from a view to text."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from textual.content import Content

from tui.panels import line as line_panels
from tui.panels import machine as machine_panels
from tui.panels import routes as route_panels
from tui.panels import versions as version_panels
from tui.panels.daemons import daemons
from tui.panels.intake import scanners
from tui.panels.policy import policies
from tui.panels.summary import lines
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
