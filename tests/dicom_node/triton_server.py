"""A real Triton server around the bundled metastasis model.

It runs in an environment of its own (`make .venv-triton/ready`), without the appliance:
`.venv-triton/bin/python tests/dicom_node/triton_server.py MODEL GRPC_PORT HTTP_PORT METRICS_PORT`.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

HOST = "127.0.0.1"
SIDE_PX = 96


def main() -> None:
    """Serve until the process is ended."""
    model, grpc_port, http_port, metrics_port = sys.argv[1], *map(int, sys.argv[2:5])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @batch
    def infer(image: np.ndarray) -> dict[str, np.ndarray]:
        return {"probability": session.run(["probability"], {"image": image})[0]}

    ports = TritonConfig(
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        grpc_address=HOST,
        http_address=HOST,
        metrics_address=HOST,
    )
    with Triton(config=ports) as triton:
        triton.bind(
            "metastasis",
            infer,
            inputs=[Tensor(name="image", dtype=np.uint8, shape=(SIDE_PX, SIDE_PX, 3))],
            outputs=[Tensor(name="probability", dtype=np.float32, shape=(2,))],
            config=ModelConfig(max_batch_size=64, batching=True),
        )
        triton.serve()


if __name__ == "__main__":
    main()
