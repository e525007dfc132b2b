"""The application: keys, screens, and what the technician does.

What is shown comes from the half that follows the line (`tui.following`); what is done goes to a
daemon (`tui.acting`).
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any, ClassVar

from textual import on
from textual.actions import ActionParseResult, parse
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input

from appliance.line import SlideStatus
from tui import label, offers, palette, preferences, rows
from tui.acting import Acting
from tui.actions import action_named
from tui.following import FollowingApp
from tui.keys import bindings
from tui.performing import Target
from tui.screens.audit import AuditScreen
from tui.screens.base import LineScreen
from tui.screens.help import HelpScreen
from tui.screens.label import LabelScreen
from tui.screens.log import LogScreen
from tui.screens.picture import PictureScreen
from tui.screens.settings import SettingsScreen
from tui.screens.slide import SlideScreen
from tui.screens.system import SystemScreen
from tui.screens.worklist import WorklistScreen
from tui.themes import next_theme, short_name
from tui.view import ActionRehearsed, LabelAnswered
from tui.widgets.picture_view import PictureView
from tui.widgets.slide_list import SlideList

STYLES: list[str | PurePath] = [
    "app.tcss",
    *(
        f"screens/{name}.tcss"
        for name in ("worklist", "slide", "picture", "system", "log", "settings", "ask")
    ),
]
WIDTH_CLASSES = [(0, "-narrow"), (rows.MEDIUM, "-medium"), (rows.WIDE, "-wide")]
HEIGHT_CLASSES = [(0, "-low"), (36, "-high")]
"""CSS classes of a screen from so many cells on."""


class CoverslipApp(FollowingApp):
    """The screen of the technician; parameters as of `FollowingApp`."""

    TITLE = "Coverslip"
    CSS_PATH: ClassVar[list[str | PurePath]] = STYLES
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    HORIZONTAL_BREAKPOINTS = WIDTH_CLASSES
    VERTICAL_BREAKPOINTS = HEIGHT_CLASSES

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._acting = Acting(self, self.asking, lambda: self.view)

    def on_mount(self) -> None:
        """Begin at the worklist."""
        self.push_screen(WorklistScreen(self.view))

    @property
    def slide(self) -> SlideStatus | None:
        """The slide that actions are about."""
        return self._slide_of(self.screen)

    def _slide_of(self, screen: Screen[Any]) -> SlideStatus | None:
        return self.view.slide(screen.slide_id) if isinstance(screen, LineScreen) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Say what the footer shows: an action of this screen, grey where it cannot be done."""
        screen = self.screen
        if action == "find":
            typing = isinstance(self.focused, Input)
            return isinstance(screen, LineScreen) and screen.HAS_FILTER and not typing
        if action == "order":
            return isinstance(screen, LineScreen) and screen.HAS_ORDER
        if action in ("label", "picture", "copy", "copy_error"):
            return self.slide is not None
        if action != "act":
            return True
        subjects = screen.ACTS_ON if isinstance(screen, LineScreen) else ()
        return offers.in_footer(action_named(str(parameters[0])), self.view, self.slide, subjects)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do an action of the table also where the footer does not show it, or say why not."""
        _, name, parameters = parse(action) if isinstance(action, str) else ("", "", ())
        if name == "act":
            self.action_act(str(parameters[0]))
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def action_act(self, name: str) -> None:
        """Do something to the slide at the cursor or to the machine, after what is to be asked."""
        self._acting.begin(action_named(name), self.slide)

    def action_label(self) -> None:
        """Ask what the slide's label says."""
        if self.slide is not None:
            self.asking.label(self.slide.slide_id)

    def action_find(self) -> None:
        """Open the filter of this screen."""
        if isinstance(self.screen, LineScreen):
            self.screen.find()

    def action_order(self) -> None:
        """Sort this screen by the next key."""
        if isinstance(self.screen, LineScreen):
            self.screen.sort()

    def action_picture(self) -> None:
        """Show the slide picture as large as the terminal."""
        if self.slide is not None:
            self._go(PictureScreen(self.view, self.slide.slide_id))

    def action_overlay(self) -> None:
        """Take the overlay off the picture, or put it back."""
        for picture in self.screen.query(PictureView):
            picture.toggle()

    def action_system(self) -> None:
        """Show the system."""
        self._go(SystemScreen(self.view, board=self.board))

    def action_log(self) -> None:
        """Show the log; from a slide in full, that slide's lines."""
        on_slide = isinstance(self.screen, SlideScreen)
        sought = self.slide.slide_id if on_slide and self.slide else ""
        folder = self.settings.storage.root / "log"
        self._go(LogScreen(self.view, folder=folder, sought=sought))

    def action_audit(self) -> None:
        """Show the audit trail; from a slide in full, that slide's."""
        on_slide = isinstance(self.screen, SlideScreen)
        slide_id = self.slide.slide_id if on_slide and self.slide else None
        self._go(AuditScreen(self.view, board=self.board, slide_id=slide_id))

    def action_settings(self) -> None:
        """Show the settings file."""
        self._go(SettingsScreen(self.view, path=self.settings_file))

    def action_explain(self) -> None:
        """Show the help."""
        own = self.preferences.keys
        self._go(HelpScreen(self.view, own=own, own_file=self._own_file))

    def action_copy(self) -> None:
        """Copy the slide's id; works over SSH where the terminal allows it (OSC 52)."""
        if self.slide is not None:
            self.copy_to_clipboard(self.slide.slide_id)
            self.notify("The slide's id is on the clipboard.", title="Copied")

    def action_copy_error(self) -> None:
        """Copy why the slide is as it is."""
        if self.slide is not None:
            self.copy_to_clipboard(palette.told(self.slide))
            self.notify("The slide's id and its sentence are on the clipboard.", title="Copied")

    def action_theme(self) -> None:
        """Go to the next theme, and keep it."""
        self.theme = next_theme(self.theme).name
        failed = self._own_file and preferences.keep_theme(self._own_file, short_name(self.theme))
        if failed:
            self.notify(failed, title="Theme", severity="warning", markup=False)

    def _go(self, screen: LineScreen) -> None:
        """Show a screen; one of the same kind on top is replaced."""
        if type(self.screen) is type(screen):
            self.pop_screen()
        else:
            self.push_screen(screen)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Fill the command palette from the same tables as the keys."""
        own = self.preferences.keys
        for title, sentence, action in palette.entries(self.view, self._slide_of(screen), own):
            yield SystemCommand(title, sentence, partial(screen.run_action, f"app.{action}"))

    # Answers that open a screen.

    @on(ActionRehearsed)
    def _rehearsed(self, message: ActionRehearsed) -> None:
        if isinstance(self.screen, LineScreen):
            self._acting.question(message.action, message.target, message.words)

    @on(LabelAnswered)
    def _label_answered(self, message: LabelAnswered) -> None:
        slide = self.view.slide(message.slide_id)
        if slide is None or not isinstance(self.screen, LineScreen):
            return
        name = self._names.of(slide.slide_id)
        accepted = partial(
            self.asking.do, action_named("accept_label"), Target(shown=name, slide=slide)
        )
        self.push_screen(
            LabelScreen(name, message.label, may_accept=label.may_accept(slide)),
            lambda yes: accepted() if yes else None,
        )

    @on(SlideList.Opened)
    def _opened(self, message: SlideList.Opened) -> None:
        self.push_screen(SlideScreen(self.view, message.slide_id))
