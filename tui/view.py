"""What every screen is given to show: the newest snapshot with all that is needed to read it."""

from dataclasses import dataclass, field

from textual.message import Message

from appliance.attention import Attention
from appliance.line import Role, SlideStatus
from appliance.settings import Settings
from tui import snapshot as line
from tui.actions import Answer
from tui.health import Alarm, alarms
from tui.label import LabelRead
from tui.names import Names
from tui.snapshot import Snapshot
from tui.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The line as it is now."""

    settings: Settings
    snapshot: Snapshot | None
    """None until the journal was read for the first time."""
    now: float
    names: Names = field(default_factory=Names)
    lost: str | None = None
    """Why the journal cannot be read, when it cannot."""
    role: Role | None = None
    """What the operator may do, as the daemons say; None while none of them has said it."""

    @property
    def slides(self) -> tuple[SlideStatus, ...]:
        """The slides on the line."""
        return self.snapshot.slides if self.snapshot else ()

    def slide(self, slide_id: str | None) -> SlideStatus | None:
        """Find a slide by its id."""
        return self.snapshot.slide(slide_id) if self.snapshot else None

    def arranged(self, sought: str = "") -> tuple[tuple[Attention, tuple[SlideStatus, ...]], ...]:
        """Give the slides that contain what is sought, in the order of the attention they need."""
        if self.snapshot is None:
            return ()
        found = [
            slide
            for slide in self.slides
            if not sought or line.matches(slide, self.names.of(slide.slide_id), sought)
        ]
        return line.arranged(found, now=self.now, superseded=self.snapshot.superseded)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What is not well."""
        if self.lost is not None:
            return (Alarm(tone="bad", sentence=self.lost, next_step="It is tried again."),)
        if self.snapshot is None:
            return ()
        return alarms(self.snapshot, self.settings, now=self.now)


class StoryWanted(Message):
    """A screen shows this slide and wants all there is about it."""

    def __init__(self, slide_id: str | None) -> None:
        super().__init__()
        self.slide_id = slide_id


class StoryRead(Message):
    """A slide's story was read."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self.story = story


class NamesWanted(Message):
    """A screen shows these slides and wants their container identifiers."""

    def __init__(self, slide_ids: tuple[str, ...]) -> None:
        super().__init__()
        self.slide_ids = slide_ids


class NamesLearned(Message):
    """The release daemon answered, or (None) did not."""

    def __init__(self, wanted: tuple[str, ...], answers: dict[str, str] | None) -> None:
        super().__init__()
        self.wanted = wanted
        self.answers = answers


class LabelAnswered(Message):
    """The anonymize daemon told what a slide's label says."""

    def __init__(self, slide_id: str, label: LabelRead) -> None:
        super().__init__()
        self.slide_id = slide_id
        self.label = label


class ActionAnswered(Message):
    """A daemon answered an operator."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
