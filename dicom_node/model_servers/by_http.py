"""A model server by HTTP with the binary tensor extension: JSON first, the tensor's bytes after."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx

from appliance.errors import ApplianceError, DeliveryRefused
from appliance.settings import RemoteModel, Server
from dicom_node.model_servers.faults import Faults
from dicom_node.model_servers.words import Metadata, Question, Reply, Tensor
from dicom_node.send.bearer import bearer
from dicom_node.send.client_tls import client_context
from dicom_node.send.web_answer import retry_after_s

_HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_MOST_HEADER_BYTES: Final = 2**16
_CONNECT_S: Final = 10.0
_FOREIGN: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
"""What reading JSON of another shape than the protocol's raises; a length of 1e999 overflows."""


class HttpClient:
    """Connections to one server.

    Parameters
    ----------
    server
        Where it is.
    model
        What to ask it for.
    faults
        What goes wrong, in our words.
    most_bytes
        No answer makes sense that is longer.

    Raises
    ------
    ConfigError
        A file of TLS is missing or is not what the settings say.
    """

    def __init__(
        self, server: Server, model: RemoteModel, faults: Faults, *, most_bytes: int
    ) -> None:
        self._server = server
        self._model = model
        self._faults = faults
        self._most_bytes = most_bytes
        self._secured = None if server.is_clear else client_context(server.tls)
        named = None if server.tls is None else server.tls.server_name
        self._extensions = {} if named is None else {"sni_hostname": named}
        version = f"/versions/{quote(model.version, safe='')}" if model.version else ""
        self._base = (
            f"{str(server.url).rstrip('/')}/v2/models/{quote(model.name, safe='')}{version}"
        )
        self._client = httpx.Client(
            verify=self._secured or False,  # False: in clear text there is nothing to check
            timeout=httpx.Timeout(model.timeout_s, connect=min(_CONNECT_S, model.timeout_s)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=model.in_flight),
            trust_env=False,  # no proxy, no password that the settings do not name
            headers={"Accept-Encoding": "identity", "User-Agent": "coverslip"},
        )

    def metadata(self) -> Metadata:
        """Ask what the model takes and gives; raises as `Client.metadata`."""
        _, body = self._send("GET", "", {}, None)
        try:
            table = json.loads(body)
            return Metadata(inputs=_tensors(table["inputs"]), outputs=_tensors(table["outputs"]))
        except _FOREIGN as error:
            raise self._faults.foreign() from error

    def ask(self, question: Question) -> Reply:
        """Ask about tiles; raises as `Client.ask`."""
        head, pixels = self._head(question), question.tiles.data.cast("B")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(head) + len(pixels)),
            _HEADER_LENGTH: str(len(head)),
        }
        said, body = self._send("POST", "/infer", headers, iter((head, pixels)))
        try:
            return _reply(body, int(said[_HEADER_LENGTH]))
        except _FOREIGN as error:
            raise self._faults.lied("its answer cannot be read") from error

    def close(self) -> None:
        """End the connections; what is under way fails."""
        self._client.close()

    def _head(self, question: Question) -> bytes:
        sent = {
            "name": self._model.input,
            "datatype": "UINT8",
            "shape": question.tiles.shape,
            "parameters": {"binary_data_size": question.tiles.nbytes},
        }
        wanted = {"name": self._model.output, "parameters": {"binary_data": True}}
        table = {"id": question.request_id, "inputs": [sent], "outputs": [wanted]}
        return json.dumps(table, separators=(",", ":")).encode()

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], content: Iterator[Any] | None
    ) -> tuple[httpx.Headers, bytes]:
        token_file = self._server.token_file
        if token_file is not None:
            token = bearer(token_file, setting="servers.token_file")
            headers = {**headers, "Authorization": token}
        with (
            self._http_errors(),
            self._client.stream(
                method,
                self._base + path,
                headers=headers,
                content=content,
                extensions=self._extensions,
            ) as answer,
        ):
            if not answer.is_success:
                raise self._fault(answer, asked=method == "POST")
            return answer.headers, self._read(answer)

    def _read(self, answer: httpx.Response) -> bytes:
        """Read the body; one that drips is not waited for longer than for the rest."""
        content, until = bytearray(), time.monotonic() + self._model.timeout_s
        for chunk in answer.iter_raw():  # what is packed was not asked for
            content += chunk
            if len(content) > self._most_bytes:
                raise self._faults.too_long()
            if time.monotonic() > until:
                raise self._faults.slow()
        return bytes(content)

    def _fault(self, answer: httpx.Response, *, asked: bool) -> ApplianceError:
        """Sort a status (RFC 9110 15) by what happens next."""
        status = answer.status_code
        if status in _LATER:
            wait_s = retry_after_s(answer.headers.get("Retry-After", ""), now=time.time())
            return self._faults.busy(after_s=wait_s)
        if status in _SERVER_ERRORS:
            return self._faults.stumbled()
        if status in _UNWANTED:
            return self._faults.unwanted()
        if status in _REDIRECTIONS:
            return self._faults.foreign()
        # Servers say 400 or 404 of a model that they do not have, or not yet.
        if status == _NOT_FOUND or not asked:
            return self._faults.without_model()
        return self._faults.refused()

    @contextmanager
    def _http_errors(self) -> Iterator[None]:
        """Translate what httpx raises."""
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise self._faults.away() from error
        except httpx.TimeoutException as error:
            raise self._faults.slow() from error
        except httpx.HTTPError as error:
            failure = None if self._secured is None else self._secured.described()
            if isinstance(failure, DeliveryRefused):
                raise self._faults.untrusted() from error
            raise self._faults.away() from error
        except RuntimeError as error:  # the client was closed meanwhile
            raise self._faults.away() from error


def _reply(body: bytes, head_bytes: int) -> Reply:
    if not 0 < head_bytes <= min(len(body), _MOST_HEADER_BYTES):
        raise ValueError("not an answer")
    table = json.loads(body[:head_bytes])
    contents, place = [], head_bytes
    for one in table["outputs"]:
        size = int(one["parameters"]["binary_data_size"])
        if not 0 <= size <= len(body) - place:
            raise ValueError("not an answer")
        contents.append(body[place : place + size])
        place += size
    return Reply(
        request_id=str(table["id"]), outputs=_tensors(table["outputs"]), contents=tuple(contents)
    )


def _tensors(said: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=str(one["name"]),
            datatype=str(one["datatype"]),
            shape=tuple(int(length) for length in one["shape"]),
        )
        for one in said
    )


_LATER: Final = frozenset({408, 425, 429, 502, 503, 504})
_SERVER_ERRORS: Final = range(500, 600)
_UNWANTED: Final = frozenset({401, 403, 407})
_REDIRECTIONS: Final = range(300, 400)
_NOT_FOUND: Final = 404
