"""Messages to whoever asked for something that was not done."""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.messages.kinds import Message, refused

PROTOCOL = "protocol"
"""The code with which a control socket answers what is not a request."""

MESSAGES: Mapping[str, Message] = MappingProxyType(
    {
        "forbidden-action": refused(
            "This is not possible now",
            "The right to do it is missing, or it makes no sense as things are.",
            "Look how things stand now, or ask someone with the role that is named.",
        ),
        "unclear-import": refused(
            "What to import is not clear",
            "The command does not say what, or says two things.",
            "See coverslip import --help.",
        ),
        "unclear-question": refused(
            "What to look for is not clear",
            "No number was given, or more than one.",
            "Give one accession number, study or patient, as it is written there.",
        ),
        "other-options": refused(
            "The folder was made in another way",
            "An earlier run with other options wrote what is there already.",
            "Name another folder to write to, or the options of the earlier run.",
        ),
        "picture": refused(
            "There is no picture",
            "The picture file is missing or damaged.",
            "Check the file's name; a picture can be made again by retrying the slide.",
        ),
        "no-terminal": refused(
            "There is no terminal",
            "The screen was started by a script.",
            "Start it in a terminal; coverslip status is for scripts.",
        ),
        "no-journal": refused(
            "The line cannot be read",
            "No daemon was ever started on this machine, or its database does not answer.",
            "Start the daemons: systemctl start coverslip.target, or coverslip up.",
        ),
        PROTOCOL: refused(
            "The daemon does not understand",
            "Screen and daemon are of different versions.",
            "Start the daemons again after an update, then the screen.",
        ),
        "error": refused(
            "Something went wrong",
            "The sentence beside it says what.",
            "Tell the administrator and quote this sentence.",
        ),
    }
)
