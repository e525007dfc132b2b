"""What every error code means, in words for a technician: one table, complete by test.

The sentence of an error says what happened here and now, its class what to do; this table says
what kind of trouble it is and where it comes from. The screen, the notices and
`docs/messages.md` are made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

SET_ASIDE_BY_OPERATOR = "set-aside-by-operator"
"""The code of a slide that a person took off the line; no error was raised."""
PROTOCOL = "protocol"
"""The code with which a control socket answers what is not a request."""


class Fate(Enum):
    """What happens next by itself after an error."""

    STOP = "stop"
    AGAIN = "again"
    ASIDE = "aside"
    NOTHING = "nothing"


FATES: Mapping[Fate, str] = MappingProxyType(
    {
        Fate.STOP: "The daemon stops, or the command ends, until a file is corrected.",
        Fate.AGAIN: "It is tried again by itself, each time after a longer while.",
        Fate.ASIDE: "It is set aside, and everything else goes on. A person decides.",
        Fate.NOTHING: "Nothing was done and nothing was changed.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a code means."""

    title: str
    cause: str
    """Where it comes from, as far as the code alone can tell."""
    next_step: str
    """What a person can do about it."""
    fate: Fate


def _again(title: str, cause: str, next_step: str) -> Message:
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.AGAIN)


def _aside(title: str, cause: str, next_step: str) -> Message:
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.ASIDE)


def _nothing(title: str, cause: str, next_step: str) -> Message:
    return Message(title=title, cause=cause, next_step=next_step, fate=Fate.NOTHING)


MESSAGES: Mapping[str, Message] = MappingProxyType(
    {
        "config": Message(
            title="Something on this machine is set up wrongly",
            cause="The settings, the keys or the models cannot be used as they are.",
            next_step="Correct the file that is named, then run coverslip check-config.",
            fate=Fate.STOP,
        ),
        # It may work later.
        "transient": _again(
            "It does not work now",
            "Something that is needed is busy or away.",
            "Nothing to do now: it is tried again by itself.",
        ),
        "peer-unavailable": _again(
            "The other system cannot be reached",
            "A scanner, PACS or service refused, was too slow, or went away.",
            "Check the network and the other system; it is tried again by itself.",
        ),
        "peer-failed": _again(
            "The other system stumbled",
            "It broke off over what was sent, and gave no reason.",
            "Look at the messages of the other system; it is tried again some times.",
        ),
        "server-lied": _again(
            "A model server answers nonsense",
            "Its answer does not fit what it was asked, so it is not believed.",
            "Look at the model server: its answers do not fit what it was asked.",
        ),
        "not-confirmed": _again(
            "The PACS has not confirmed yet",
            "It took the objects and has not said that it keeps them.",
            (
                "Nothing to do now: the PACS is asked again by itself. If it stays so, ask its "
                "administrator about storage commitment."
            ),
        ),
        "not-started": _again(
            "A daemon does not come up",
            "One daemon of a temporary line ended or is very slow.",
            "Look whether the machine is very busy, then run the command again.",
        ),
        "import-interrupted": _again(
            "The import broke off",
            "The PACS or our own node refused for now, or went away.",
            "Check the network and the other system, then import again: nothing is doubled.",
        ),
        "node-unavailable": _again(
            "Our own node takes nothing now",
            "It does not run, or its disk is full.",
            "Check that the node runs and has disk space, then import again: nothing is doubled.",
        ),
        "storage-full": _again(
            "The disk is full",
            "Free space is below the limit in the settings.",
            "Free disk space; scanning goes on by itself once there is room.",
        ),
        "device-unavailable": _again(
            "The processor is missing",
            "The GPU that the settings ask for is lost, busy or out of memory.",
            "Check the GPU and its driver, or set inference.device to auto.",
        ),
        "lease-lost": _again(
            "Another worker took over",
            "This one was silent for too long; its work is thrown away.",
            "Nothing to do: another worker has the slide.",
        ),
        "limit-reached": _again(
            "The limit of the day is reached",
            "What may leave on this route in one day has left already.",
            "Nothing to do: it leaves on a later day. The route's limits are in the settings.",
        ),
        # A person decides.
        "rejected": _aside(
            "It was not taken",
            "Something about the slide is not as it must be.",
            "Look at the slide, then retry it or scan it again.",
        ),
        "invalid-instance": _aside(
            "A DICOM object is no good",
            "It is damaged, contradicts itself, or is of a kind that the line does not take.",
            "Send the object again from the scanner; if it fails again, scan the slide again.",
        ),
        "damaged-instance": _aside(
            "An object came damaged",
            "The PACS holds it damaged, or it was damaged on the way.",
            "Look at the object at the PACS; import the others by --series.",
        ),
        "conflicting-instance": _aside(
            "Two objects claim one name",
            "Two different objects came under the same SOP Instance UID.",
            "Both are kept. Ask the scanner's service which one is right, then retry.",
        ),
        "incomplete-slide": _aside(
            "The slide is incomplete",
            "Something that belongs to it never came.",
            "Send the slide again from the scanner, then retry.",
        ),
        "empty-slide": _aside(
            "The slide is empty",
            "All its objects turned out to belong to other slides.",
            "Nothing to do: the objects are on the line as part of another slide.",
        ),
        "identity-doubt": _aside(
            "It is not certain that the patient is off",
            "De-identification, or the identity to be put back, could not be proven.",
            "Nothing has left. Show the de-identification report to the administrator.",
        ),
        "label-mismatch": _aside(
            "Label and header name different slides",
            "The wrong glass was on the tray, or the wrong order was chosen at the scanner.",
            (
                "Look at the label (key b) and at the glass slide. Scan it again if they differ; "
                "accept the label (key a) if they are one slide."
            ),
        ),
        "text-on-slide": _aside(
            "Something can be read on the picture",
            "Ink or writing on the glass was scanned together with the tissue.",
            (
                "Wipe ink and writing off the glass and scan the slide again, or ask the "
                'administrator to set deidentify.text_in_pixels to "remove".'
            ),
        ),
        "unsuitable-slide": _aside(
            "The slide cannot be judged",
            "There is too little on it that a model can look at.",
            "Look at the glass slide, clean it and scan it again.",
        ),
        "unreadable-encoding": _aside(
            "The images are stored in a way that cannot be read",
            "The scanner is set to an encoding that this software does not have.",
            (
                "The glass is not the matter: set the scanner to store JPEG or JPEG 2000, then send"
                " the slide again."
            ),
        ),
        "unfit-scan": _aside(
            "The scan lacks what is needed",
            "The scanner wrote no image of the whole slide, or no spacing, or no colours.",
            (
                "The glass is not the matter: check what the scanner is set to write, then send the"
                " slide again."
            ),
        ),
        "damaged-image": _aside(
            "An image is damaged",
            "Some of its pixels cannot be read from the file.",
            "Send the slide again from the scanner; if it fails again, scan it again.",
        ),
        "model": _aside(
            "A model does not fit",
            "Its file, digest or shapes are not what its folder says.",
            "Ask the administrator to check the models (coverslip models check).",
        ),
        "policy-refused": _aside(
            "The policy of the route says no",
            "What the route would carry is more than its policy allows to leave.",
            "Nothing has left. Ask the administrator about the route's policy.",
        ),
        "delivery-refused": _aside(
            "A delivery was refused",
            "The signature is not good, the route is the wrong one, or the receiver said no.",
            "Look at the route's messages; correct the cause, then retry the delivery.",
        ),
        "permission-ended": _aside(
            "The permission to send has ended",
            "It was signed too long ago, or the policy of the route has changed since.",
            (
                "Retry the slide or the delivery: release signs anew what may leave now. Tiles need"
                " nothing: release makes their parcels anew by itself."
            ),
        ),
        "server-unfit": _aside(
            "A model server does not fit",
            "It does not run the model that the settings name, or does not want us.",
            "Correct the server or the settings of the route, then retry the delivery.",
        ),
        "query-refused": _aside(
            "The PACS does not answer our question",
            "It does not let our AE title query.",
            "Ask the administrator of the PACS what it lets us query and retrieve.",
        ),
        "move-refused": _aside(
            "The PACS could not send to us",
            "It does not know our node, or cannot reach it.",
            (
                "At the PACS: enter our node as a destination (AE title, address, port). Here: the "
                "PACS must be one of [[scanners]] in the settings. Or import with --via get."
            ),
        ),
        "never-arrived": _aside(
            "The PACS sent to somewhere else",
            "It says that it sent, and nothing came: it has another address for our AE title.",
            "At the PACS: correct address and port of our node, then import again, or import with "
            "--via get.",
        ),
        "retrieve-incomplete": _aside(
            "Some objects did not come",
            "The PACS sent fewer objects than it lists.",
            (
                "Look at the messages of our node and of the PACS, then import again, perhaps with "
                "the other of --via move and --via get."
            ),
        ),
        "import-refused": _aside(
            "Our node does not take an object",
            "The object is not what a slide is made of.",
            "Read on the screen what the node says about it; correct that, then import again.",
        ),
        "not-taken": _aside(
            "A slide was not taken",
            "The line's own node, or the converter, refused its files.",
            "Correct what the sentence says, then run the command again.",
        ),
        "nothing-found": _aside(
            "Nothing was found",
            "The PACS holds no such slides.",
            "Check what was asked for, and at the PACS whether the slides are filed there.",
        ),
        "repeated-failure": _aside(
            "The slide breaks its worker",
            "The software died over this slide more than once.",
            "Send the log of this slide to the administrator; retry once the cause is known.",
        ),
        SET_ASIDE_BY_OPERATOR: _aside(
            "A person set it aside",
            "Someone took the slide off the line, with the reason shown.",
            "Retry it to put it back on the line once the reason is gone.",
        ),
        # Whoever asks is told.
        "forbidden-action": _nothing(
            "This is not possible now",
            "The right to do it is missing, or it makes no sense as things are.",
            "Look how things stand now, or ask someone with the role that is named.",
        ),
        "unclear-import": _nothing(
            "What to import is not clear",
            "The command does not say what, or says two things.",
            "See coverslip import --help.",
        ),
        "unclear-question": _nothing(
            "What to look for is not clear",
            "No number was given, or more than one.",
            "Give one accession number, study or patient, as it is written there.",
        ),
        "other-options": _nothing(
            "The folder was made in another way",
            "An earlier run with other options wrote what is there already.",
            "Name another folder to write to, or the options of the earlier run.",
        ),
        "picture": _nothing(
            "There is no picture",
            "The picture file is missing or damaged.",
            "Check the file's name; a picture can be made again by retrying the slide.",
        ),
        "no-terminal": _nothing(
            "There is no terminal",
            "The screen was started by a script.",
            "Start it in a terminal; coverslip status is for scripts.",
        ),
        "no-journal": _nothing(
            "The line cannot be read",
            "No daemon was ever started on this machine, or its database does not answer.",
            "Start the daemons: systemctl start coverslip.target, or coverslip up.",
        ),
        PROTOCOL: _nothing(
            "The daemon does not understand",
            "Screen and daemon are of different versions.",
            "Start the daemons again after an update, then the screen.",
        ),
        "error": _nothing(
            "Something went wrong",
            "The sentence beside it says what.",
            "Tell the administrator and quote this sentence.",
        ),
    }
)
"""Title, cause and fate by code."""


def message(code: str | None) -> Message:
    """Give what a code means; one that a newer daemon wrote reads as any error does."""
    return MESSAGES.get(code or "error", MESSAGES["error"])
