"""Writes trained networks as onnxruntime reads them, half as large as they were learnt."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

_SMALL = 64  # values that are left as they are


def write_network(path: Path, network: nn.Module, example: torch.Tensor, moving: dict[int, str]) -> None:
    """Write the network for inputs like `example`; `moving`: the dimensions that may differ."""
    stream = io.BytesIO()
    network = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package calls itself old
        torch.onnx.export(
            network,
            (example,),
            stream,  # type: ignore[arg-type]
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": moving, "y": {axis: f"y{axis}" for axis in moving}},
            dynamo=False,
        )
    model = onnx.load_from_string(stream.getvalue())
    _halve(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _halve(model: onnx.ModelProto) -> None:
    """Keep the weights in 16 bits, and have them widened when the network is loaded."""
    graph = model.graph
    widened = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        widened.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
