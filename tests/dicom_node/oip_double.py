"""A model server for tests: the Open Inference Protocol by gRPC and by HTTP, with declared faults.

Real sockets, and the bundled metastasis model in onnxruntime behind them; or, with a declared
service time, an answer that is cheap to make. It runs in the test's own process, or as one of its
own: `python -m tests.dicom_node.oip_double --way grpc` prints its URL, serves until its standard
input ends, and prints how many tiles it was asked about.
"""

import argparse
import json
import os
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import grpc
import numpy as np
import numpy.typing as npt
import onnxruntime
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as services

MODEL = Path(__file__).parents[2] / "inference" / "models" / "metastasis"
NAME, INPUT, OUTPUT, SIDE_PX = "metastasis", "image", "probability", 96
LENGTH = "Inference-Header-Content-Length"

Tiles = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the server behaves; a test may change it while it runs."""

    lies: str = ""
    """What is wrong with its answers: shape, classes, nan, infinity, swapped_ids, no_id, name,
    datatype, short, long, negative, sum; by HTTP endless_shape and endless_size; or maps, which is
    no lie."""
    says: str = ""
    """input, datatype, side, output, classes: what of its metadata does not fit; drips; or endless,
    by HTTP."""
    status: int = 0
    """HTTP status, or its like in gRPC, that every request is answered with."""
    hangs: bool = False
    """Requests are never answered."""
    drips: bool = False
    """Answers come byte by byte, and never to an end; by HTTP only."""
    service_s: float = 0.0
    """A request takes so long, and answers are cheap; 0 runs the model."""
    at_once: int = 1
    """Requests that are served at the same time with a service time."""
    good: int = 0
    """So many requests are answered well before any fault."""
    takes_mib: int = -1
    """Longest request, by gRPC only."""
    token: str = ""
    """Bearer token that is wanted."""


@dataclass(kw_only=True)
class Asked:
    """One request as it came."""

    request_id: str
    n_tiles: int
    digests: tuple[int, ...]
    """A number for the pixels of each tile."""
    headers: dict[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    """Fields of the request that held something."""


class Refusal(Exception):
    """A request is answered with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Served:
    """The model behind both ways in."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._desks = threading.BoundedSemaphore(behaviour.at_once)
        self._earlier_id = "0" * 32
        self._under_way = 0
        self.most_at_once = 0
        self._session = None if behaviour.service_s else session()

    def metadata(self) -> dict[str, Any]:
        says = self.behaviour.says
        side = 224 if says == "side" else SIDE_PX
        given = {
            "name": "pixels" if says == "input" else INPUT,
            "datatype": "FP32" if says == "datatype" else "UINT8",
            "shape": [-1, side, side, 3],
        }
        output = {
            "name": "logits" if says == "output" else OUTPUT,
            "datatype": "FP32",
            "shape": [-1, 7 if says == "classes" else 2 if says != "endless" else float("inf")],
        }
        return {"name": NAME, "versions": ["1"], "inputs": [given], "outputs": [output]}

    def check(self, token: str, name: str) -> None:
        if self.behaviour.token and token != f"Bearer {self.behaviour.token}":
            raise Refusal(401)
        if name != NAME:
            raise Refusal(404)

    def infer(self, asked: Asked, tiles: Tiles) -> tuple[dict[str, Any], bytes]:
        """Answer a request: its JSON, and the bytes of the output."""
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return self._infer(asked, tiles)
        finally:
            with self._lock:
                self._under_way -= 1

    def _infer(self, asked: Asked, tiles: Tiles) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            self.asked.append(asked)
            faulty = len(self.asked) > self.behaviour.good
            earlier, self._earlier_id = self._earlier_id, asked.request_id
        behaviour = self.behaviour if faulty else replace(self.behaviour, lies="", status=0)
        if behaviour.hangs and faulty:
            self.ended.wait(60.0)
        if behaviour.status:
            raise Refusal(behaviour.status)
        values = self._values(tiles)
        return told(values, asked.request_id, lies=behaviour.lies, earlier_id=earlier)

    def _values(self, tiles: Tiles) -> Values:
        if self._session is not None:
            return self._session.run([OUTPUT], {INPUT: tiles})[0]
        with self._desks:
            time.sleep(self.behaviour.service_s)
        return cheap(tiles)


def session() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(MODEL / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )


def cheap(tiles: Tiles) -> Values:
    """Answer without a model: how red the first pixel of each tile is."""
    red = tiles[:, 0, 0, 0].astype(np.float32) / 255
    return np.stack([1 - red, red], axis=1)


def digest(tile: Tiles) -> int:
    return zlib.crc32(tile.data)


def told(
    values: Values, request_id: str, *, lies: str, earlier_id: str
) -> tuple[dict[str, Any], bytes]:
    """Say values as an answer, or as a lie."""
    if lies in ("nan", "infinity"):
        values = values.copy()
        values[-1, 0] = np.nan if lies == "nan" else np.inf
    if lies == "negative":
        values = values + np.float32([2, -2])  # the sum stays 1
    if lies == "sum":
        values = values * np.float32(0.9)
    if lies == "shape":
        values = values[:-1]
    if lies == "maps":
        values = np.repeat(values[:, None], 9, axis=1).reshape(-1, 3, 3, 2)
    if lies == "long":
        values = np.zeros((10**6, 2), np.float32)
    if lies == "classes":
        values = np.concatenate([values, values[:, :1]], axis=1)
    content = values.tobytes()
    output = {
        "name": "other" if lies == "name" else OUTPUT,
        "datatype": "FP64" if lies == "datatype" else "FP32",
        "shape": [float("inf")] if lies == "endless_shape" else list(values.shape),
    }
    said = earlier_id if lies == "swapped_ids" else "" if lies == "no_id" else request_id
    return {"id": said, "outputs": [output]}, content[:-4] if lies == "short" else content


# By gRPC.

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


class _Servicer(services.GRPCInferenceServiceServicer):
    def __init__(self, served: Served) -> None:
        self._served = served

    def ModelMetadata(self, request, context):  # noqa: N802  the protocol's name
        self._check(request.name, context)
        said = self._served.metadata()
        answer = messages.ModelMetadataResponse(name=NAME, versions=["1"], platform="double")
        for one in said["inputs"]:
            answer.inputs.add(**one)
        for one in said["outputs"]:
            answer.outputs.add(**one)
        return answer

    def ModelInfer(self, request, context):  # noqa: N802
        self._check(request.model_name, context)
        (tensor,), (content,) = request.inputs, request.raw_input_contents
        tiles = np.frombuffer(content, np.uint8).reshape(tensor.shape)
        asked = Asked(
            request_id=request.id,
            n_tiles=len(tiles),
            digests=tuple(map(digest, tiles)),
            headers={key: str(value) for key, value in context.invocation_metadata()},
            known=frozenset(one.name for one, _ in request.ListFields()),
        )
        try:
            table, values = self._served.infer(asked, tiles)
        except Refusal as refusal:
            context.abort(_CODES[refusal.status], "Refused, for a reason that nobody is told.")
        answer = messages.ModelInferResponse(model_name=NAME, id=table["id"])
        answer.outputs.add(**table["outputs"][0])
        answer.raw_output_contents.append(values)
        return answer

    def _check(self, name: str, context: Any) -> None:
        given = dict(context.invocation_metadata())
        try:
            self._served.check(given.get("authorization", ""), name)
        except Refusal as refusal:
            context.abort(_CODES[refusal.status], "Refused.")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """TLS of a server: PEM of its key, its certificate, and who vouches for clients."""

    key: bytes
    certificate: bytes
    clients: bytes | None = None


@contextmanager
def by_grpc(behaviour: Behaviour, tls: Identity | None = None) -> Iterator["Double"]:
    served = Served(behaviour)
    takes = behaviour.takes_mib * 2**20 if behaviour.takes_mib > 0 else -1
    server = grpc.server(
        ThreadPoolExecutor(max(8, 2 * behaviour.at_once)),
        options=[("grpc.max_receive_message_length", takes), ("grpc.so_reuseport", 0)],
    )
    services.add_GRPCInferenceServiceServicer_to_server(_Servicer(served), server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)], tls.clients, require_client_auth=bool(tls.clients)
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    scheme = "grpc" if tls is None else "grpcs"
    try:
        yield Double(served=served, url=f"{scheme}://127.0.0.1:{port}")
    finally:
        served.ended.set()
        server.stop(grace=None).wait(10.0)


# By HTTP.


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: Served

    def log_message(self, *_words: Any) -> None:
        pass

    def do_GET(self) -> None:
        try:
            self._check()
        except Refusal as refusal:
            self._answer(refusal.status, b"{}")
        else:
            self._drip(self.served.behaviour.says == "drips")
            self._answer(200, json.dumps(self.served.metadata()).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers[LENGTH])
        table = json.loads(body[:length])
        tiles = np.frombuffer(body[length:], np.uint8).reshape(table["inputs"][0]["shape"])
        asked = Asked(
            request_id=table["id"],
            n_tiles=len(tiles),
            digests=tuple(map(digest, tiles)),
            headers={key.lower(): value for key, value in self.headers.items()},
            known=frozenset(table),
        )
        try:
            self._check()
            said, values = self.served.infer(asked, tiles)
            self._drip(self.served.behaviour.drips)
        except Refusal as refusal:
            self._answer(refusal.status, b'{"error":"Refused, for a reason that nobody is told."}')
            return
        endless = self.served.behaviour.lies == "endless_size"
        size = float("inf") if endless else len(values)
        said["outputs"][0]["parameters"] = {"binary_data_size": size}
        head = json.dumps(said).encode()
        self._answer(200, head + values, (LENGTH, str(len(head))))

    def _drip(self, drips: bool) -> None:  # noqa: FBT001  one thing it does
        self.close_connection = drips
        while drips and not self.served.ended.wait(0.05):
            self.wfile.write(b"H")

    def _check(self) -> None:
        name = self.path.split("/")[3]
        self.served.check(self.headers.get("Authorization", ""), name)

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for key, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_given: Any) -> None:
        """Say nothing of clients that hung up."""


@contextmanager
def by_http(behaviour: Behaviour, tls: Identity | None = None) -> Iterator["Double"]:
    served = Served(behaviour)
    server = _HttpServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    if tls is not None:
        server.socket = _context(tls).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    scheme = "http" if tls is None else "https"
    try:
        yield Double(served=served, url=f"{scheme}://127.0.0.1:{server.server_port}")
    finally:
        served.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10.0)


def _context(tls: Identity) -> ssl.SSLContext:
    import tempfile

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(tls.key + b"\n" + tls.certificate)
        file.flush()
        context.load_cert_chain(file.name)
    if tls.clients is not None:
        context.load_verify_locations(cadata=tls.clients.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, kw_only=True)
class Double:
    """A server that runs."""

    served: Served
    url: str

    @property
    def asked(self) -> Sequence[Asked]:
        """The requests for answers that came."""
        return tuple(self.served.asked)

    @property
    def name(self) -> str:
        """As our sentences call it."""
        return self.url.partition("://")[2]


WAYS: dict[str, Callable[..., Any]] = {"grpc": by_grpc, "http": by_http}


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=sorted(WAYS), default="grpc")
    parser.add_argument("--service-s", type=float, default=0.0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--hangs", action="store_true")
    parser.add_argument("--lies", default="")
    parser.add_argument("--good", type=int, default=0)
    behaviour_of = vars(parser.parse_args())
    way = behaviour_of.pop("way")
    behaviour = Behaviour(**behaviour_of)
    with WAYS[way](behaviour) as double:
        sys.stdout.write(f"{double.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        digests = [one for asked in double.asked for one in asked.digests]
    sys.stdout.write(json.dumps({"tiles": len(digests), "distinct": len(set(digests))}))


if __name__ == "__main__":
    main()
