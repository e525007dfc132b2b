"""What passes between us and a model server, whichever way it is spoken to.

The protocol is that of https://github.com/kserve/open-inference-protocol: the metadata of a model
first, then requests that hold tensors. Nothing else crosses than tiles, the names of the model and
of its tensors, and a random request id.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from appliance.errors import DeliveryRefused
from dicom_node.status import PeerFailed

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]


class ServerUnfit(DeliveryRefused):
    """The server does not run what the settings say, or does not want us."""

    code = "server-unfit"


class ServerLied(PeerFailed):
    """The server answered something that cannot be the answer."""

    code = "server-lied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What a model says of one of its tensors."""

    name: str
    datatype: str
    """Such as UINT8 or FP32."""
    shape: tuple[int, ...]
    """-1 stands for any length; the first axis is the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a server says of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """One request."""

    request_id: str
    tiles: Pixels
    """`(n, side, side, 3)` RGB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """One answer as it came; nothing of it is believed before it was checked."""

    request_id: str
    outputs: tuple[Tensor, ...]
    contents: tuple[bytes, ...]
    """Of each output: little-endian, row by row."""


class Client(Protocol):
    """A connection to one server, which many threads may use."""

    def metadata(self) -> Metadata:
        """Ask what the model takes and gives.

        Raises
        ------
        PeerUnavailable
            It is away; `PeerFailed`: it stumbled.
        ServerUnfit
            It does not want us, or does not know the model.
        ConfigError
            The token cannot be read.
        """

    def ask(self, question: Question) -> Reply:
        """Ask about tiles; raises what `metadata` raises, and `ServerLied`."""

    def close(self) -> None:
        """End the connection; what is under way fails."""
