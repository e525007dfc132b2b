"""All workers feed one queue: full batches, the same numbers, and what happens on a full GPU.

The buffers and the queue are those of the GPU, on the CPU; `test_gpu.py` runs them on a GPU.
"""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from appliance.errors import DeviceUnavailable, ModelError
from inference.model.bundle import Models
from inference.model.manifest import ARTIFACT, TILES, TISSUE, Model
from inference.running import engine, feeding
from inference.running.batching import Batcher, Bind
from inference.running.binding import BoundSession
from inference.running.engine import DeviceMemoryFull
from inference.running.feeding import OneQueue
from inference.running.predict import DeviceStranded, Predictor
from inference.running.watchdog import Watchdog
from tests.inference.conftest import open_folder, quiet
from tests.inference.small_models import instead, says

Images = npt.NDArray[np.uint8]
SMALL = {TISSUE: 2, ARTIFACT: 6, TILES: 8}


@pytest.fixture(scope="module")
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


def noise(*shape: int) -> Images:
    return np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)


def bound(model: Model, watchdog: Watchdog, batch: int, side_px: int) -> BoundSession:
    return BoundSession(model, device="cpu", batch=batch, side_px=side_px, watchdog=watchdog)


def test_bound_buffers_give_the_numbers_of_a_plain_run(models: Models, watchdog: Watchdog) -> None:
    model, images = models.artifact, noise(3, 256, 256, 3)
    plain = engine.Session(model, device="cpu").run(images)
    session = bound(model, watchdog, 4, 256)
    session.put(0, noise(4, 256, 256, 3)[::-1])  # a full batch before, which must leave no trace
    session.run(4)
    session.put(0, images[:1])
    session.put(1, images[1:])
    np.testing.assert_allclose(session.run(3), plain, atol=1e-5)


def test_a_smaller_image_is_padded_white(models: Models, watchdog: Watchdog) -> None:
    model, image = models.tissue, noise(1, 96, 160, 3)
    padded = np.full((1, 192, 192, 3), 255, np.uint8)
    padded[:, :96, :160] = image
    plain = engine.Session(model, device="cpu").run(padded)
    session = bound(model, watchdog, 2, 192)
    session.put(0, noise(2, 192, 192, 3))
    session.run(2)
    session.put(0, image)
    np.testing.assert_allclose(session.run(1), plain, atol=1e-5)


def test_a_model_that_cuda_cannot_record_runs_without_that(
    models: Models, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bool] = []

    def opened(model: Model, device: str, *, graph: bool) -> InferenceSession:
        tried.append(graph)
        if graph:
            raise DeviceUnavailable("The GPU was lost or refused the work.")
        return engine.open_session(model, device)

    monkeypatch.setattr("inference.running.binding.open_session", opened)
    monkeypatch.setattr("inference.running.binding.may_have_gpu", lambda: True)
    session = bound(models.artifact, watchdog, 1, 256)
    session.put(0, noise(1, 256, 256, 3))
    assert session.run(1).shape == (1, 256, 256, len(models.artifact.classes))
    assert tried == [True, False]


class FakeDevice:
    """A device with room for so many images; it says of each image its first pixel."""

    device = "gpu"

    def __init__(self, batch: int, room: int, ran: list[int]) -> None:
        self._images = np.zeros((batch, 2, 2, 3), np.uint8)
        self._room = room
        self._ran = ran

    def put(self, first: int, images: Images) -> None:
        self._images[first : first + len(images)] = images

    def run(self, n: int) -> npt.NDArray[np.float32]:
        if len(self._images) > self._room:
            raise DeviceMemoryFull("The memory of the GPU is full.")
        self._ran.append(n)
        return self._images[:n, 0, 0, :1].astype(np.float32)


def fed(bind: Bind, *, flush_after_s: float = 0.004) -> Batcher:
    """Give a queue before a device for eight images that may say anything."""
    return Batcher(bind, batch=8, check=lambda _: None, flush_after_s=flush_after_s)


def numbered(first: int, n: int) -> Images:
    return np.repeat(np.arange(first, first + n, dtype=np.uint8), 12).reshape(n, 2, 2, 3)


def test_tiles_of_several_workers_share_a_batch_and_come_back_to_each() -> None:
    ran: list[int] = []
    batcher = fed(lambda batch: FakeDevice(batch, 99, ran), flush_after_s=30.0)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(batcher.run, numbered(10 * k, 4)) for k in range(6)]
        answers = [one.result(timeout=20) for one in asked]
    batcher.close()
    assert ran == [8, 8, 8]
    for k, answer in enumerate(answers):
        np.testing.assert_array_equal(answer[:, 0], np.arange(10 * k, 10 * k + 4))


def test_a_request_larger_than_a_batch_is_cut() -> None:
    ran: list[int] = []
    batcher = fed(lambda batch: FakeDevice(batch, 99, ran))
    answer = batcher.run(numbered(0, 21))
    batcher.close()
    np.testing.assert_array_equal(answer[:, 0], np.arange(21))
    assert ran == [8, 8, 5]


def test_a_full_device_halves_the_batch_and_loses_nothing() -> None:
    ran: list[int] = []
    batcher = fed(lambda batch: FakeDevice(batch, 4, ran))
    answer = batcher.run(numbered(0, 11))
    assert batcher.batch == 4
    batcher.close()
    np.testing.assert_array_equal(answer[:, 0], np.arange(11))
    assert ran == [4, 4, 3]


def test_a_device_that_is_full_again_puts_the_slide_back_on_the_line() -> None:
    batcher = fed(lambda batch: FakeDevice(batch, 3, []))
    with pytest.raises(DeviceUnavailable, match="full"):
        batcher.run(numbered(0, 8))
    with pytest.raises(DeviceUnavailable, match="with half a batch, too"):
        batcher.run(numbered(0, 1))
    batcher.close()


def test_a_device_too_small_to_start_with_is_halved_at_the_start() -> None:
    def bind(batch: int) -> FakeDevice:
        if batch > 4:
            raise DeviceMemoryFull("The memory of the GPU is full.")
        return FakeDevice(batch, 4, [])

    batcher = fed(bind)
    assert len(batcher.run(numbered(0, 5))) == 5
    batcher.close()


def test_an_error_reaches_all_who_wait_and_the_queue_goes_on(
    models: Models, watchdog: Watchdog
) -> None:
    n_classes = len(models.artifact.classes)
    model = instead(models.artifact, says([2 / n_classes] * n_classes))
    queues = OneQueue([model], device="cpu", watchdog=watchdog, batches={ARTIFACT: 4})
    batcher = queues.runner(model)
    ask = threading.Barrier(2)

    def run() -> None:
        ask.wait(timeout=20)
        batcher.run(noise(2, 256, 256, 3))

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(run), pool.submit(run)]:
            with pytest.raises(ModelError, match="numbers that cannot be used"):
                one.result(timeout=20)
    batcher.close()
    with pytest.raises(DeviceUnavailable, match="closed"):
        batcher.run(noise(2, 256, 256, 3))


def test_a_model_that_cannot_be_loaded_is_told_at_once(models: Models, watchdog: Watchdog) -> None:
    model = instead(models.artifact, b"\x3a\x00")
    with pytest.raises(ModelError, match="cannot load the model"):
        OneQueue([models.tissue, model], device="cpu", watchdog=watchdog)


def test_the_queue_finds_what_own_sessions_find(
    slide: Path, models: Models, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def through_queues(models: list[Model], *, device: str, watchdog: Watchdog) -> OneQueue:
        return OneQueue(models, device=device, watchdog=watchdog, batches=SMALL)

    monkeypatch.setattr("inference.running.predict.open_feeding", through_queues)
    fed = Predictor(models, device="cpu", workers=2)
    with open_folder(slide) as reader:
        found, expected = fed.predict(reader, quiet), predictor.predict(reader, quiet)
    fed.close()
    assert {use.device for use in found.models} == {"cpu"}
    different = np.count_nonzero(found.class_map != expected.class_map)
    assert different <= found.class_map.size / 10_000  # ties within the last bits
    np.testing.assert_array_equal(found.focus, expected.focus)


def test_a_full_device_gets_its_memory_back_before_the_half_is_made() -> None:
    made: list[weakref.ref[FakeDevice]] = []
    alive: list[bool] = []

    def bind(batch: int) -> FakeDevice:
        alive.append(any(one() is not None for one in made))
        device = FakeDevice(batch, room=4, ran=[])
        made.append(weakref.ref(device))
        return device

    batcher = fed(bind)
    batcher.run(noise(8, 2, 2, 3))
    batcher.close()
    assert alive == [False, False]


def test_a_lost_device_is_opened_anew_for_the_next_slide(
    slide: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[OneQueue] = []

    def open_queue(models: list[Model], *, device: str, watchdog: Watchdog) -> OneQueue:
        opened.append(OneQueue(models, device=device, watchdog=watchdog, batches=SMALL))
        return opened[-1]

    monkeypatch.setattr("inference.running.predict.open_feeding", open_queue)
    predictor = Predictor(models, device="cpu", workers=2)
    opened[0].close()  # as a device that is gone: whoever asks gets DeviceUnavailable
    with open_folder(slide) as reader:
        with pytest.raises(DeviceUnavailable):
            predictor.predict(reader, quiet)
        assert predictor.predict(reader, quiet).tiles > 0
    predictor.close()
    assert len(opened) == 2


def test_a_device_that_stays_lost_puts_the_slide_back_and_ends_the_process(
    slide: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[OneQueue] = []

    def open_once(models: list[Model], *, device: str, watchdog: Watchdog) -> OneQueue:
        if opened:
            raise DeviceUnavailable("The GPU was lost or refused the work.")
        opened.append(OneQueue(models, device=device, watchdog=watchdog, batches=SMALL))
        return opened[-1]

    monkeypatch.setattr("inference.running.predict.open_feeding", open_once)
    predictor = Predictor(models, device="cpu", workers=2)
    predictor.check()
    opened[0].close()
    with open_folder(slide) as reader:
        for _ in range(2):
            with pytest.raises(DeviceUnavailable):
                predictor.predict(reader, quiet)
    with pytest.raises(DeviceStranded):
        predictor.check()
    predictor.close()


def test_large_tiles_make_small_batches(models: Models, watchdog: Watchdog) -> None:
    own = feeding.OwnSessions(models.everyone, watchdog)
    large = replace(models.artifact, task=TILES, tile_px=4096)
    assert own.batch(large) == 1
    assert own.batch(replace(large, tile_px=96)) == feeding.CPU_BATCH[TILES]


def test_without_a_gpu_workers_have_their_own_sessions(models: Models, watchdog: Watchdog) -> None:
    if engine.may_have_gpu():
        pytest.skip("this machine has a GPU")
    chosen = feeding.open_feeding(models.everyone, device="auto", watchdog=watchdog)
    assert isinstance(chosen, feeding.OwnSessions)
    assert chosen.device == "cpu"
