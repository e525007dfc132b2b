"""Messages of what is set aside: a person decides."""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.messages.kinds import Message, set_aside

SET_ASIDE_BY_OPERATOR = "set-aside-by-operator"
"""The code of a slide that a person took off the line; no error was raised."""

MESSAGES: Mapping[str, Message] = MappingProxyType(
    {
        "rejected": set_aside(
            "It was not taken",
            "Something about the slide is not as it must be.",
            "Look at the slide, then retry it or scan it again.",
        ),
        "invalid-instance": set_aside(
            "A DICOM object is no good",
            "It is damaged, contradicts itself, or is of a kind that the line does not take.",
            "Send the object again from the scanner; if it fails again, scan the slide again.",
        ),
        "damaged-instance": set_aside(
            "An object came damaged",
            "The PACS holds it damaged, or it was damaged on the way.",
            "Look at the object at the PACS; import the others by --series.",
        ),
        "conflicting-instance": set_aside(
            "Two objects claim one name",
            "Two different objects came under the same SOP Instance UID.",
            "Both are kept. Ask the scanner's service which one is right, then retry.",
        ),
        "incomplete-slide": set_aside(
            "The slide is incomplete",
            "Something that belongs to it never came.",
            "Send the slide again from the scanner, then retry.",
        ),
        "empty-slide": set_aside(
            "The slide is empty",
            "All its objects turned out to belong to other slides.",
            "Nothing to do: the objects are on the line as part of another slide.",
        ),
        "identity-doubt": set_aside(
            "It is not certain that the patient is off",
            "De-identification, or the identity to be put back, could not be proven.",
            "Nothing has left. Show the de-identification report to the administrator.",
        ),
        "label-mismatch": set_aside(
            "Label and header name different slides",
            "The wrong glass was on the tray, or the wrong order was chosen at the scanner.",
            (
                "Look at the label (key b) and at the glass slide. Scan it again if they differ; "
                "accept the label there (key a) if they are one slide."
            ),
        ),
        "text-on-slide": set_aside(
            "Something can be read on the picture",
            "Ink or writing on the glass was scanned together with the tissue.",
            (
                "Wipe ink and writing off the glass and scan the slide again, or ask the "
                'administrator to set deidentify.text_in_pixels to "remove".'
            ),
        ),
        "unsuitable-slide": set_aside(
            "The slide cannot be judged",
            "There is too little on it that a model can look at.",
            "Look at the glass slide, clean it and scan it again.",
        ),
        "unreadable-encoding": set_aside(
            "The images are stored in a way that cannot be read",
            "The scanner is set to an encoding that this software does not have.",
            (
                "The glass is not the matter: set the scanner to store JPEG or JPEG 2000, then send"
                " the slide again."
            ),
        ),
        "unfit-scan": set_aside(
            "The scan lacks what is needed",
            "The scanner wrote no image of the whole slide, or no spacing, or no colours.",
            (
                "The glass is not the matter: check what the scanner is set to write, then send the"
                " slide again."
            ),
        ),
        "damaged-image": set_aside(
            "An image is damaged",
            "Some of its pixels cannot be read from the file.",
            "Send the slide again from the scanner; if it fails again, scan it again.",
        ),
        "model": set_aside(
            "A model does not fit",
            "Its file, digest or shapes are not what its folder says.",
            "Ask the administrator to check the models (coverslip models check).",
        ),
        "policy-refused": set_aside(
            "The policy of the route says no",
            "What the route would carry is more than its policy allows to leave.",
            "Nothing has left. Ask the administrator about the route's policy.",
        ),
        "delivery-refused": set_aside(
            "A delivery was refused",
            "The signature is not good, the route is the wrong one, or the receiver said no.",
            "Look at the route's messages; correct the cause, then retry the delivery.",
        ),
        "permission-ended": set_aside(
            "The permission to send has ended",
            "It was signed too long ago, or the policy of the route has changed since.",
            (
                "Retry the slide or the delivery: release signs anew what may leave now. Tiles need"
                " nothing: release makes their parcels anew by itself."
            ),
        ),
        "server-unfit": set_aside(
            "A model server does not fit",
            "It does not run the model that the settings name, or does not want us.",
            "Correct the server or the settings of the route, then retry the delivery.",
        ),
        "query-refused": set_aside(
            "The PACS does not answer our question",
            "It does not let our AE title query.",
            "Ask the administrator of the PACS what it lets us query and retrieve.",
        ),
        "move-refused": set_aside(
            "The PACS could not send to us",
            "It does not know our node, or cannot reach it.",
            (
                "At the PACS: enter our node as a destination (AE title, address, port). Here: the "
                "PACS must be one of [[scanners]] in the settings. Or import with --via get."
            ),
        ),
        "never-arrived": set_aside(
            "The PACS sent to somewhere else",
            "It says that it sent, and nothing came: it has another address for our AE title.",
            "At the PACS: enter our node as a destination with the address and port that it has "
            "now, then import again. Or import with --via get.",
        ),
        "retrieve-incomplete": set_aside(
            "Some objects did not come",
            "The PACS sent fewer objects than it lists.",
            (
                "Look at the messages of our node and of the PACS, then import again, perhaps with "
                "the other of --via move and --via get."
            ),
        ),
        "import-refused": set_aside(
            "Our node does not take an object",
            "The object is not what a slide is made of.",
            "Read on the screen what the node says about it; correct that, then import again.",
        ),
        "not-taken": set_aside(
            "A slide was not taken",
            "The line's own node, or the converter, refused its files.",
            "Correct what the sentence says, then run the command again.",
        ),
        "nothing-found": set_aside(
            "Nothing was found",
            "The PACS holds no such slides.",
            "Check what was asked for, and at the PACS whether the slides are filed there.",
        ),
        "repeated-failure": set_aside(
            "The slide breaks its worker",
            "The software died over this slide more than once.",
            "Send the log of this slide to the administrator; retry once the cause is known.",
        ),
        SET_ASIDE_BY_OPERATOR: set_aside(
            "A person set it aside",
            "Someone took the slide off the line, with the reason shown.",
            "Retry it to put it back on the line once the reason is gone.",
        ),
    }
)
