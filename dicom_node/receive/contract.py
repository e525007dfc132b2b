"""Whether the library that is installed is the one whose inner parts the node builds on.

pynetdicom promises nothing about names that begin with an underscore. What `reactor` uses of them
is listed and tried here before it is used; where anything differs, the node receives by the
library alone (`plain`), slower and no less safely.
"""

import inspect
import queue
from importlib import import_module
from typing import Any, Final

import pynetdicom

READ_VERSION: Final = "3.0.4"

_PARAMETERS: Final = {
    "association:Association": "ae mode",
    "association:Association.run_reactor": "self",
    "association:Association._run_reactor": "self",
    "association:Association._serve_request": "self msg context_id",
    "association:Association.kill": "self",
    "association:Association.set_socket": "self socket",
    "dimse:DIMSEServiceProvider": "assoc",
    "dimse:DIMSEServiceProvider.receive_primitive": "self primitive",
    "dimse:DIMSEServiceProvider.get_msg": "self block",
    "dul:DULServiceProvider": "assoc",
    "dul:DULServiceProvider._decode_pdu": "self bytestream",
    "dul:DULServiceProvider._process_recv_primitive": "self",
    "dul:DULServiceProvider.send_pdu": "self primitive",
    "dul:DULServiceProvider.peek_next_pdu": "self",
    "fsm:StateMachine.do_action": "self event",
    "transport:AssociationSocket": "assoc client_socket address",
    "transport:AssociationSocket.send": "self bytestream",
    "transport:AssociationSocket._shutdown_socket": "self",
    "transport:AssociationSocket._create_socket": "self address",
    "transport:AssociationServer": (
        "ae address ae_title contexts ssl_context evt_handlers request_handler"
    ),
    "ae:ApplicationEntity._create_socket": "self assoc address tls_args",
}
_TRANSITIONS: Final = {
    ("Evt5", "Sta1"): "AE-5",
    ("Evt6", "Sta2"): "AE-6",
    ("Evt7", "Sta3"): "AE-7",
    ("Evt9", "Sta6"): "DT-1",
    ("Evt12", "Sta6"): "AR-2",
    ("Evt15", "Sta6"): "AA-1",
    ("Evt16", "Sta6"): "AA-3",
    ("Evt17", "Sta6"): "AA-4",
    ("Evt17", "Sta13"): "AR-5",
    ("Evt19", "Sta6"): "AA-8",
}
_A_ABORT: Final = bytes.fromhex("07000000000400000000")


def contract_broken() -> str | None:
    """Say what does not fit, in words for a technician; None when everything does."""
    if pynetdicom.__version__ != READ_VERSION:
        return f"pynetdicom is of version {pynetdicom.__version__} and not {READ_VERSION}"
    try:
        for name, parameters in _PARAMETERS.items():
            if parameters_of(name) != parameters.split():
                return f"pynetdicom has another {name.rpartition(':')[2]}"
        return _behaves_otherwise()
    except (AttributeError, ImportError, TypeError, ValueError, KeyError):
        return "pynetdicom lacks a part that the node builds on"


def parameters_of(name: str) -> list[str]:
    """Give the parameters of something in the library, named as `module:Class.method`."""
    module, _, path = name.partition(":")
    found: Any = import_module(f"pynetdicom.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    return list(inspect.signature(found).parameters)


def _behaves_otherwise() -> str | None:
    """Try the parts themselves, without a connection."""
    fsm = import_module("pynetdicom.fsm")
    for (event, state), action in _TRANSITIONS.items():
        if fsm.TRANSITION_TABLE[event, state] != action:
            return "pynetdicom has another state machine"
    association: Any = import_module("pynetdicom.association").Association(
        pynetdicom.AE(), "acceptor"
    )
    provider = association.dul
    _pdu, event = provider._decode_pdu(bytearray(_A_ABORT))  # noqa: SLF001  what is being tried
    as_read = (
        event == "Evt16"
        and provider.state_machine.current_state == "Sta1"
        and not provider.is_alive()
        and isinstance(provider._recv_pdu, queue.Queue)  # noqa: SLF001
        and isinstance(provider.event_queue, queue.Queue)
        and isinstance(association.dimse.msg_queue, queue.Queue)
        and association._accepted_cx == {}  # noqa: SLF001
        and association._reactor_checkpoint.is_set()  # noqa: SLF001
        and not association._dul_ready.is_set()  # noqa: SLF001
        and (association._kill, association._is_paused, association._started_dul)  # noqa: SLF001
        == (False, False, False)
    )
    return None if as_read else "an association of pynetdicom begins in another state"
