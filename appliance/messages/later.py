"""Messages of what may work later: the line tries again by itself."""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.messages.kinds import Message, tried_again

MESSAGES: Mapping[str, Message] = MappingProxyType(
    {
        "transient": tried_again(
            "It does not work now",
            "Something that is needed is busy or away.",
            "Nothing to do now: it is tried again by itself.",
        ),
        "peer-unavailable": tried_again(
            "The other system cannot be reached",
            "A scanner, PACS or service refused, was too slow, or went away.",
            "Check the network and the other system; it is tried again by itself.",
        ),
        "peer-failed": tried_again(
            "The other system stumbled",
            "It broke off over what was sent, and gave no reason.",
            "Look at the messages of the other system; it is tried again some times.",
        ),
        "server-lied": tried_again(
            "A model server answers nonsense",
            "Its answer does not fit what it was asked, so it is not believed.",
            "Look at the model server: its answers do not fit what it was asked.",
        ),
        "not-confirmed": tried_again(
            "The PACS has not confirmed yet",
            "It took the objects and has not said that it keeps them.",
            (
                "Nothing to do now: the PACS is asked again by itself. If it stays so, ask its "
                "administrator about storage commitment."
            ),
        ),
        "not-started": tried_again(
            "A daemon does not come up",
            "One daemon of a temporary line ended or is very slow.",
            "Look whether the machine is very busy, then run the command again.",
        ),
        "import-interrupted": tried_again(
            "The import broke off",
            "The PACS or our own node refused for now, or went away.",
            "Check the network and the other system, then import again: nothing is doubled.",
        ),
        "node-unavailable": tried_again(
            "Our own node takes nothing now",
            "It does not run, or its disk is full.",
            "Check that the node runs and has disk space, then import again: nothing is doubled.",
        ),
        "storage-full": tried_again(
            "The disk is full",
            "Free space is below the limit in the settings.",
            "Free disk space; scanning goes on by itself once there is room.",
        ),
        "device-unavailable": tried_again(
            "The processor is missing",
            "The GPU that the settings ask for is lost, busy or out of memory.",
            "Check the GPU and its driver, or set inference.device to auto.",
        ),
        "lease-lost": tried_again(
            "Another worker took over",
            "This one was silent for too long; its work is thrown away.",
            "Nothing to do: another worker has the slide.",
        ),
        "limit-reached": tried_again(
            "The limit of the day is reached",
            "What may leave on this route in one day has left already.",
            "Nothing to do: it leaves on a later day. The route's limits are in the settings.",
        ),
    }
)
