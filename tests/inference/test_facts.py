"""What infer tells of itself: which models it really runs, where, and what the driver knows."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.facts import Gpu
from inference.facts import infer_facts
from inference.model.bundle import Models
from inference.remote.models import remote_models
from inference.running import engine, gpus
from inference.running.predict import Predictor
from tests.inference.remote_parts import manifest_folder, route_to

DRIVER = """
#include <string.h>
struct utilisation { unsigned int gpu, memory; };
struct memory { unsigned long long total, free, used; };
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int number, void **device)
{ *device = (void *)(unsigned long)(0x7f0000000000 + number); return number > 1; }
int nvmlDeviceGetName(void *device, char *name, unsigned int length)
{ strncpy(name, (unsigned long)device & 1 ? "NVIDIA B" : "NVIDIA A", length); return 0; }
int nvmlDeviceGetMemoryInfo(void *device, struct memory *found)
{ found->total = 24ULL << 30; found->free = 18ULL << 30; found->used = 6ULL << 30; return 0; }
int nvmlDeviceGetUtilizationRates(void *device, struct utilisation *found)
{ found->gpu = (unsigned long)device & 1 ? 0 : 83; found->memory = 5; return FAILS; }
"""
"""The part of NVML's interface that is asked, as nvml.h declares it."""


def test_the_models_are_told_with_digest_and_the_processor_that_they_run_on(
    predictor: Predictor, models: Models, tmp_path: Path
) -> None:
    remotes = remote_models([route_to(manifest_folder(tmp_path))])
    found = infer_facts(predictor, remotes, workers=2)
    *here, there = found.models
    assert [(one.name, one.digest) for one in here] == [
        (one.name, one.digest) for one in models.everyone
    ]
    assert {one.device for one in here} == set(predictor.devices)
    assert {one.task for one in here} >= {"tissue", "artifact"}
    assert (there.device, there.recipient) == ("remote", remotes["lab"].recipient)
    assert there.digest == remotes["lab"].model.digest


def test_what_models_run_on_is_told_with_the_runtime_and_its_workers(predictor: Predictor) -> None:
    found = infer_facts(predictor, {}, workers=2).computing
    assert found is not None
    assert found.device == predictor.devices[0]
    assert found.runtime == f"ONNX Runtime {engine.runtime_version()}"
    assert found.workers == 2
    assert found.gpus == ()  # the models of this predictor run on the cores


@pytest.fixture
def driver(
    tmp_path: Path, require_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], None]]:
    """Build a library with the driver's interface, whose last call answers as a test says."""

    def build(answer: int) -> None:
        library = tmp_path / "libnvidia-ml.so.1"
        source = tmp_path / "driver.c"
        source.write_text(DRIVER.replace("FAILS", str(answer)))
        command = [require_tool("cc"), "-shared", "-fPIC", "-w", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        monkeypatch.setattr(gpus, "_LIBRARY", str(library))

    gpus._loaded.cache_clear()
    yield build
    gpus._loaded.cache_clear()


def test_the_driver_is_asked_for_every_gpu(driver: Callable[[int], None]) -> None:
    driver(0)
    room = {"memory_used_bytes": 6 << 30, "memory_total_bytes": 24 << 30}
    assert gpus.gpus() == (
        Gpu(name="NVIDIA A", busy_share=0.83, **room),
        Gpu(name="NVIDIA B", busy_share=0.0, **room),
    )


def test_a_driver_that_refuses_tells_nothing(driver: Callable[[int], None]) -> None:
    driver(3)
    assert gpus.gpus() == ()


def test_a_machine_without_the_driver_tells_of_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_LIBRARY", "libnvidia-ml-that-is-not-there.so.1")
    gpus._loaded.cache_clear()
    assert gpus.gpus() == ()
    gpus._loaded.cache_clear()
