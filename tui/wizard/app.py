"""The wizard's application: it knows which screen each step has."""

from tui.wizard.finish import ProofScreen, ReviewScreen
from tui.wizard.form import ScannersScreen, StepScreen
from tui.wizard.interview import Interview
from tui.wizard.peers import PacsScreen

SCREENS = {
    "scanners": ScannersScreen,
    "pacs": PacsScreen,
    "review": ReviewScreen,
    "proof": ProofScreen,
}
"""Steps that are more than a form."""


class SetupApp(Interview):
    """Asks step by step, from the settings file to the proof."""

    def go(self, number: int) -> None:
        """Show a step."""
        screen = SCREENS.get(self.steps[number].id, StepScreen)
        self.push_screen(screen(number))
