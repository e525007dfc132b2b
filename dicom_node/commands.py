"""Commands of the node: node, deliver, notify, deliveries, purge, send, import, echo, peer."""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.ending import ends_on
from appliance.errors import ConfigError
from dicom_node.deliver import commands as delivery_commands
from dicom_node.fetch import commands as import_commands


def register(commands: Any) -> None:
    """Add the commands of this package."""
    _add(commands, "node", "run the daemon that receives slides", run_node)
    deliver = _add(commands, "deliver", "run the daemon of one route", run_deliver)
    deliver.add_argument("route", metavar="ROUTE", help="its name in the settings")
    notify = _add(commands, "notify", "run the daemon that sends notices to people", run_notify)
    notify.add_argument(
        "--test", action="store_true", help="send a test to every receiver, and end"
    )
    sending = _add(commands, "send", "send a folder of DICOM files, as a scanner does", run_send)
    sending.add_argument("folder", type=Path, metavar="FOLDER", help="a folder, or one file")
    _add_endpoint(sending)
    import_commands.register(commands)
    delivery_commands.register(commands)
    purge = _add(commands, "purge", "remove the originals of a slide that is archived", run_purge)
    purge.add_argument("slide_id", metavar="SLIDE", help="its id, as the screen shows it")
    _add_endpoint(_add(commands, "echo", "ask a DICOM peer whether it is alive", run_echo))
    peer = _add(commands, "peer", "run a stand-in for a PACS, for tests", run_peer)
    peer.add_argument("--ae", default="PACS", help="its AE title (default PACS)")
    peer.add_argument("--host", default="127.0.0.1", help="address (default 127.0.0.1)")
    peer.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    peer.add_argument("--folder", type=Path, required=True, help="where objects are written")
    peer.add_argument("--tls-certificate", type=Path, metavar="PEM", help="speak TLS; ours")
    peer.add_argument("--tls-key", type=Path, metavar="PEM", help="its key")
    peer.add_argument("--tls-ca", type=Path, metavar="PEM", help="who vouches for clients")


def run_node(arguments: argparse.Namespace) -> int:
    """Run the node daemon."""
    from appliance.settings import load
    from dicom_node import node

    return node.run(load(arguments.settings))


def run_deliver(arguments: argparse.Namespace) -> int:
    """Run the deliver daemon of a route."""
    from appliance.settings import load
    from dicom_node.deliver import archive, daemon

    settings = load(arguments.settings)
    route = settings.route(arguments.route)
    return archive.run(settings, route) if route.is_archive else daemon.run(settings, route)


def run_notify(arguments: argparse.Namespace) -> int:
    """Run the notify daemon, or send a test message."""
    from appliance.settings import load
    from dicom_node.notify import daemon

    settings = load(arguments.settings)
    if arguments.test:
        return 0 if daemon.send_test(settings, print) else 1
    return daemon.run(settings)


def run_purge(arguments: argparse.Namespace) -> int:
    """Ask the node to remove the originals of a slide."""
    from appliance.control import call
    from appliance.settings import load
    from appliance.storage import Root

    socket = Root(load(arguments.settings).storage.root).socket("node")
    purged = call(socket, "purge", slide_id=arguments.slide_id)
    print(f"{purged['objects']} originals were removed, {purged['bytes'] / 1e6:.1f} MB.")
    return 0


def run_send(arguments: argparse.Namespace) -> int:
    """Send a folder over one association."""
    from dicom_node.send.sender import dicom_files, send

    files = dicom_files(arguments.folder)
    total_mb = sum(one.size_bytes for one in files) / 1e6
    started = time.monotonic()

    def show(n_sent: int, n_bytes: int) -> None:
        line = f"{n_sent} of {len(files)} objects, {n_bytes / 1e6:.1f} of {total_mb:.1f} MB"
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    send(files, _endpoint(arguments), show)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    seconds = max(1e-6, time.monotonic() - started)
    print(
        f"{len(files)} objects, {total_mb:.1f} MB, answered with success in {seconds:.2f} s "
        f"({total_mb / seconds:.0f} MB/s)."
    )
    return 0


def run_echo(arguments: argparse.Namespace) -> int:
    """Send a C-ECHO."""
    from dicom_node.send.sender import echo

    started = time.monotonic()
    echo(_endpoint(arguments))
    print(f"{arguments.called} answers in {1000 * (time.monotonic() - started):.0f} ms.")
    return 0


def run_peer(arguments: argparse.Namespace) -> int:
    """Run the stand-in for a PACS until SIGTERM or Ctrl-C."""
    from dicom_node.peer import ArchivePeer

    peer = ArchivePeer(folder=arguments.folder, tls=_server_tls(arguments))
    ended = threading.Event()
    ends_on(signal.SIGTERM, signal.SIGINT, event=ended)
    port = peer.start(ae_title=arguments.ae, host=arguments.host, port=arguments.port)
    print(f"{arguments.ae} listening on {arguments.host}:{port}", flush=True)
    ended.wait()
    peer.stop()
    return 0


def _add(
    commands: Any, name: str, words: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(run=run)
    return parser


def _add_endpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="where the peer listens")
    parser.add_argument("--called", default="COVERSLIP", help="its AE title (default COVERSLIP)")
    parser.add_argument("--calling", default="SCANNER", help="our AE title (default SCANNER)")
    parser.add_argument("--tls-ca", type=Path, metavar="PEM", help="speak TLS; who vouches for it")
    parser.add_argument("--tls-certificate", type=Path, metavar="PEM", help="ours, for TLS")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its key")
    parser.add_argument("--tls-name", metavar="NAME", help="in its certificate, if not HOST")


def _endpoint(arguments: argparse.Namespace) -> Any:
    from dicom_node.send.sender import Endpoint

    host, _, port = str(arguments.to).rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError("--to needs HOST:PORT, such as 10.0.0.5:11112.")
    return Endpoint(
        host=host.strip("[]"),
        port=int(port),
        called_ae_title=arguments.called,
        calling_ae_title=arguments.calling,
        tls=_tls(arguments),
    )


def _server_tls(arguments: argparse.Namespace) -> Any:
    from appliance.settings import ServerTls

    if arguments.tls_certificate is None and arguments.tls_key is None:
        return None
    if arguments.tls_certificate is None or arguments.tls_key is None:
        raise ConfigError("--tls-certificate and --tls-key go together.")
    return ServerTls(
        certificate=arguments.tls_certificate,
        key=arguments.tls_key,
        ca=arguments.tls_ca,
        clients="none" if arguments.tls_ca is None else "required",
    )


def _tls(arguments: argparse.Namespace) -> Any:
    from appliance.settings import ClientTls

    shown = (arguments.tls_certificate, arguments.tls_key)
    if arguments.tls_ca is None:
        if any(shown) or arguments.tls_name:
            raise ConfigError("TLS needs --tls-ca: who vouches for the peer.")
        return None
    if (shown[0] is None) != (shown[1] is None):
        raise ConfigError("--tls-certificate and --tls-key go together.")
    return ClientTls(
        ca=arguments.tls_ca, certificate=shown[0], key=shown[1], server_name=arguments.tls_name
    )
