"""A model server by gRPC: the one door to grpc and to tritonclient's messages."""

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would write lines of its own to our log

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from appliance.errors import ApplianceError
from appliance.settings import RemoteModel, Server
from dicom_node.model_servers.faults import Faults
from dicom_node.model_servers.words import Metadata, Question, Reply, Tensor
from dicom_node.send.bearer import bearer
from dicom_node.send.client_tls import client_context

_messages: Any = service_pb2
_services: Any = service_pb2_grpc
_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # no way that the settings do not name
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),  # who asks twice, and whom, is decided above
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_SYSTEM_CAS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
_UNTRUSTED: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")
"""What the library says of a handshake that we ended; read, and never passed on."""
_TOO_LONG: Final = "message larger than max"
_OUR_LIMIT: Final = "CLIENT: "
"""Stands before it when the limit is ours: the answer was too long, not the request."""


class GrpcClient:
    """A channel to one server.

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
        self._channel = _channel(server, most_bytes)
        self._stub = _services.GRPCInferenceServiceStub(self._channel)

    def metadata(self) -> Metadata:
        """Ask what the model takes and gives; raises as `Client.metadata`."""
        request = _messages.ModelMetadataRequest(name=self._model.name, version=self._model.version)
        answer = self._call(self._stub.ModelMetadata, request)
        return Metadata(inputs=_tensors(answer.inputs), outputs=_tensors(answer.outputs))

    def ask(self, question: Question) -> Reply:
        """Ask about tiles; raises as `Client.ask`."""
        request = _messages.ModelInferRequest(
            model_name=self._model.name,
            model_version=self._model.version,
            id=question.request_id,
            raw_input_contents=[question.tiles.tobytes()],
        )
        shape = list(question.tiles.shape)
        request.inputs.add(name=self._model.input, datatype="UINT8", shape=shape)
        request.outputs.add(name=self._model.output)
        answer = self._call(self._stub.ModelInfer, request)
        return Reply(
            request_id=answer.id, outputs=_tensors(answer.outputs), contents=_contents(answer)
        )

    def close(self) -> None:
        """End the channel; what is under way is cancelled."""
        self._channel.close()

    def _call(self, method: Any, request: Any) -> Any:
        token_file = self._server.token_file
        metadata = []
        if token_file is not None:
            metadata.append(("authorization", bearer(token_file, setting="servers.token_file")))
        try:
            return method(request, timeout=self._model.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise _fault(error, self._faults) from error
        except ValueError as error:  # the channel was closed meanwhile
            raise self._faults.away() from error


def _channel(server: Server, most_bytes: int) -> grpc.Channel:
    options = (*_OPTIONS, ("grpc.max_receive_message_length", most_bytes))
    target = f"{server.url.host}:{server.url.port}"
    if server.is_clear:
        return grpc.insecure_channel(target, options=options)
    client_context(server.tls)  # says what is wrong with the files
    tls = server.tls
    if tls is None:
        credentials = grpc.ssl_channel_credentials(root_certificates=_system_cas())
        return grpc.secure_channel(target, credentials, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca.read_bytes(),
        private_key=None if tls.key is None else tls.key.read_bytes(),
        certificate_chain=None if tls.certificate is None else tls.certificate.read_bytes(),
    )
    if tls.server_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", tls.server_name))
    return grpc.secure_channel(target, credentials, options=options)


def _system_cas() -> bytes | None:
    """Give the authorities that the system trusts; None leaves it to those of the library."""
    for name in (ssl.get_default_verify_paths().cafile or "", *_SYSTEM_CAS):
        if Path(name).is_file():
            return Path(name).read_bytes()
    return None


def _fault(error: Any, faults: Faults) -> ApplianceError:
    """Sort a status (https://grpc.io/docs/guides/status-codes/) by what happens next."""
    code, told = error.code(), str(error.details())
    if code is grpc.StatusCode.UNAVAILABLE and any(word in told for word in _UNTRUSTED):
        return faults.untrusted()
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LONG in told:
        return faults.too_long() if _OUR_LIMIT in told else faults.refused()
    return _SORTED.get(code, Faults.stumbled)(faults)


_SORTED: Final[Mapping[Any, Callable[[Faults], ApplianceError]]] = {
    grpc.StatusCode.UNAVAILABLE: Faults.away,
    grpc.StatusCode.CANCELLED: Faults.away,
    grpc.StatusCode.DEADLINE_EXCEEDED: Faults.slow,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Faults.busy,
    grpc.StatusCode.NOT_FOUND: Faults.without_model,
    grpc.StatusCode.UNAUTHENTICATED: Faults.unwanted,
    grpc.StatusCode.PERMISSION_DENIED: Faults.unwanted,
    grpc.StatusCode.INVALID_ARGUMENT: Faults.refused,
    grpc.StatusCode.FAILED_PRECONDITION: Faults.refused,
    grpc.StatusCode.UNIMPLEMENTED: Faults.foreign,
}


def _tensors(said: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name=one.name, datatype=one.datatype, shape=tuple(one.shape)) for one in said
    )


def _contents(answer: Any) -> tuple[bytes, ...]:
    """Give the bytes of each output; some servers spell numbers out instead."""
    if answer.raw_output_contents:
        return tuple(answer.raw_output_contents)
    return tuple(np.array(one.contents.fp32_contents, "<f4").tobytes() for one in answer.outputs)
