"""The runtimes that could answer: torch as it is, AOTInductor, ONNX Runtime; fp32, bf16, int8.

A candidate is built once (exported, compiled, quantised: what a promotion would pay), then loaded
(what every worker process would pay), then called. Whatever cannot be built, loaded or called says
so by its exception, which becomes a row of the bench.

int8 is dynamic: weights are int8, activations are quantised at each call.
"""

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.bench.runtime_parts import Inputs

Call = Callable[[Inputs], Tensor]
Load = Callable[[int], Call]
"""Threads -> ready to be called."""
Build = Callable[[nn.Module, Inputs, Path], Load]


def eager(module: nn.Module, example: Inputs, file: Path) -> Load:
    """Torch, operation by operation."""
    del example
    return _saved(module, file, lambda loaded: loaded)


def eager_bf16(module: nn.Module, example: Inputs, file: Path) -> Load:
    """The same under autocast, as the network is trained in bf16."""
    del example
    load = _saved(module, file, lambda loaded: loaded)

    def autocast(threads: int) -> Call:
        call = load(threads)

        def answer(inputs: Inputs) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return call(inputs)

        return answer

    return autocast


def eager_int8(module: nn.Module, example: Inputs, file: Path) -> Load:
    """The same with int8 layers of `torch.ao`, quantised as they are loaded."""
    del example

    def quantised(loaded: nn.Module) -> nn.Module:
        from torch.ao.quantization import quantize_dynamic

        quantise: Callable[..., nn.Module] = quantize_dynamic
        return quantise(loaded, {nn.Linear, nn.LSTM}, dtype=torch.qint8)

    return _saved(module, file, quantised)


def aoti(module: nn.Module, example: Inputs, file: Path) -> Load:
    """Exported and compiled ahead of time to a shared object."""
    from torch._inductor import aoti_compile_and_package, aoti_load_package, config

    path = file.with_suffix(".pt2")
    with torch.no_grad(), config.patch({"cpp.dynamic_threads": True}):
        program = torch.export.export(module, example)
        aoti_compile_and_package(program, package_path=str(path))

    def load(threads: int) -> Call:
        torch.set_num_threads(threads)
        compiled = aoti_load_package(str(path))
        return lambda inputs: _first(compiled(*inputs))

    return load


def aoti_bf16(module: nn.Module, example: Inputs, file: Path) -> Load:
    """The same with weights and products in bf16."""
    return aoti(deepcopy(module).bfloat16(), example, file)


def aoti_int8(module: nn.Module, example: Inputs, file: Path) -> Load:
    """Not there: says what it would need."""
    raise NotImplementedError(
        "quantising an exported program needs torchao, which torch does not bring along"
    )


def onnx(module: nn.Module, example: Inputs, file: Path) -> Load:
    """Exported to ONNX, run by ONNX Runtime on the CPU."""
    path = file.with_suffix(".onnx")
    _export(module, example, path)
    return _sessions(path)


def onnx_bf16(module: nn.Module, example: Inputs, file: Path) -> Load:
    """The same with weights and products in bf16."""
    return onnx(deepcopy(module).bfloat16(), example, file)


def onnx_int8(module: nn.Module, example: Inputs, file: Path) -> Load:
    """The same with int8 weights, by ONNX Runtime's own dynamic quantisation."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain, path = file.with_suffix(".plain.onnx"), file.with_suffix(".onnx")
    _export(module, example, plain)
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8)
    plain.unlink()
    return _sessions(path)


KINDS: Mapping[tuple[str, str], Build] = {
    ("eager", "fp32"): eager,
    ("eager", "bf16"): eager_bf16,
    ("eager", "int8"): eager_int8,
    ("aoti", "fp32"): aoti,
    ("aoti", "bf16"): aoti_bf16,
    ("aoti", "int8"): aoti_int8,
    ("onnx", "fp32"): onnx,
    ("onnx", "bf16"): onnx_bf16,
    ("onnx", "int8"): onnx_int8,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn and print much about themselves, and stdout belongs to the result."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _saved(module: nn.Module, file: Path, finish: Callable[[nn.Module], nn.Module]) -> Load:
    """Weights on disk; loaded into a module of the same shape."""
    torch.save(module.state_dict(), file.with_suffix(".pt"))
    shape = deepcopy(module)

    def load(threads: int) -> Call:
        torch.set_num_threads(threads)
        content = io.BytesIO(file.with_suffix(".pt").read_bytes())
        shape.load_state_dict(torch.load(content, weights_only=True))
        ready = finish(shape)
        return lambda inputs: _first(ready(*inputs))

    return load


def _export(module: nn.Module, example: Inputs, path: Path) -> None:
    with torch.no_grad():
        torch.onnx.export(
            module, example, str(path), dynamo=True, external_data=False, verbose=False
        )


def _sessions(path: Path) -> Load:
    import onnxruntime

    def load(threads: int) -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        names = [one.name for one in session.get_inputs()]

        def call(inputs: Inputs) -> Tensor:
            feed = {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
            return torch.from_numpy(session.run(None, feed)[0])

        return call

    return load


def _first(answer: Any) -> Tensor:
    """Rep of a user part, logits of an item part."""
    first: Tensor = answer if isinstance(answer, Tensor) else answer[0]
    return first.float()
