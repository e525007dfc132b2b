"""What is new on the line since the last look, one line of text or JSON for each change."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from appliance.attention import Attention
from appliance.line import SlideStatus
from tui import status
from tui.view import View

STAMP = "%Y-%m-%dT%H:%M:%S%z"
_PASSING = re.compile(r"\d+ (?:s|min|h|d) ago|just now|[\d,.]+ [GT]iB")
"""What an alarm says differently each time while it is the same alarm."""


class Changes:
    """Remembers what was told already.

    Parameters
    ----------
    as_json
        Whether to give values for a script in place of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._slides: dict[str, tuple[SlideStatus, bool, str]] = {}
        """Of each slide: as it was, whether its container was scanned again, and what was told."""
        self._alarms: dict[str, str] = {}
        self._is_first = True

    def news(self, view: View) -> Iterator[str]:
        """Give a line for each alarm and slide that changed; at first for all that are not done."""
        yield from self._of_alarms(view)
        for slide in view.slides:
            superseded = view.is_superseded(slide.slide_id)
            before = self._slides.get(slide.slide_id)
            # Of ten thousand slides the feed hands on all but a few as they were.
            if before is not None and before[0] is slide and before[1] is superseded:
                continue
            said = status.change(view, slide)
            self._slides[slide.slide_id] = (slide, superseded, said)
            if before is not None and before[2] == said:
                continue
            need = view.followed.need(slide.slide_id)
            if not self._is_first or need is not Attention.DONE:
                value = status.slide_values(view, slide) if self._as_json else None
                yield self._line(view, said, slide=value)
        self._is_first = view.snapshot is None

    def _of_alarms(self, view: View) -> Iterator[str]:
        now = {_PASSING.sub("", alarm.sentence): alarm for alarm in view.alarms}
        for key in now.keys() - self._alarms.keys():
            alarm = now[key]
            value = {"over": False, "sentence": alarm.sentence, "next_step": alarm.next_step}
            yield self._line(view, f"! {alarm.sentence} → {alarm.next_step}", alarm=value)
        for key in self._alarms.keys() - now.keys():
            value = {"over": True, "sentence": self._alarms[key], "next_step": ""}
            yield self._line(view, f"over: {self._alarms[key]}", alarm=value)
        self._alarms = {key: alarm.sentence for key, alarm in now.items()}

    def _line(self, view: View, text: str, **value: Any) -> str:
        if self._as_json:
            return json.dumps({"at": view.now} | value)
        return f"{time.strftime(STAMP, time.localtime(view.now))}  {text}"
