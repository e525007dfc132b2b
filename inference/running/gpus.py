"""What the driver of NVIDIA tells of its processors, where its library is there.

NVML comes with the driver, so that nothing has to be installed for it; it is asked through its C
interface. Whatever it cannot tell is left out: the models run without it.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from appliance.facts import Gpu

_LIBRARY: Final = "libnvidia-ml.so.1"
_NAME_BYTES: Final = 96


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _NvmlError(Exception):
    """NVML answered with something other than success."""


def gpus() -> tuple[Gpu, ...]:
    """Give every GPU that the driver tells of; none where there is no driver."""
    library = _loaded()
    if library is None:
        return ()
    try:
        with _session(library):
            n_gpus = ctypes.c_uint()
            _asked(library.nvmlDeviceGetCount_v2(ctypes.byref(n_gpus)))
            return tuple(_gpu(library, number) for number in range(n_gpus.value))
    except (_NvmlError, AttributeError):  # a driver that is too old lacks a function
        return ()


@cache
def _loaded() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


@contextmanager
def _session(library: ctypes.CDLL) -> Iterator[None]:
    _asked(library.nvmlInit_v2())
    try:
        yield
    finally:
        library.nvmlShutdown()


def _gpu(library: ctypes.CDLL, number: int) -> Gpu:
    device = ctypes.c_void_p()
    _asked(library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(device)))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _asked(library.nvmlDeviceGetName(device, name, ctypes.c_uint(_NAME_BYTES)))
    busy, memory = _Utilisation(), _Memory()
    _asked(library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(busy)))
    _asked(library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)))
    return Gpu(
        name=name.value.decode("ascii", "replace"),
        busy_share=busy.gpu / 100,
        memory_used_bytes=memory.used,
        memory_total_bytes=memory.total,
    )


def _asked(answer: int) -> None:
    if answer:
        raise _NvmlError
