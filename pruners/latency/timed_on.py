"""What times depend on: the device, torch, threads, the batch and the network's form."""

import hashlib
import platform
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruners.network.inputs import Inputs, input_tensors, inputs_device
from pruners.network.layer_names import named_buffers, named_modules, named_parameters

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_CPUS = Path("/proc/cpuinfo")


def timed_on(model: nn.Module, example: Inputs) -> dict[str, Any]:
    """Describe, as JSON-able data, all that decides how long a network takes for a batch.

    The device's name, torch's version, its CPU threads, the batch's shapes, and a digest of the network: its
    modules, and its tensors' shapes, dtypes and memory formats. What weights are is no matter.
    """
    device = inputs_device(example)
    modules = [
        (name, type(module).__module__, type(module).__qualname__, _ADDRESS.sub("", module.extra_repr()))
        for name, module in named_modules(model)
    ]
    tensors = (named_parameters(model) | named_buffers(model)).items()
    held = [(name, tuple(t.shape), t.stride(), str(t.dtype)) for name, t in tensors]
    batch = [
        [list(tensor.shape), list(tensor.stride()), str(tensor.dtype)] for tensor in input_tensors(example)
    ]
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch": batch,
        "wrapped": type(model).__qualname__,  # a compiled network is another
        "network": hashlib.sha256(repr((modules, held)).encode()).hexdigest(),
    }


def device_name(device: torch.device) -> str:
    """Return a device's own name: the processor's, or the GPU's. ARM's processors have numbers for names."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = _CPUS.read_text().splitlines() if _CPUS.exists() else []
    pairs = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    first = dict(reversed(pairs))  # of several processors
    numbers = [first[key] for key in ("CPU implementer", "CPU part", "CPU variant") if key in first]
    return first.get("model name") or " ".join([platform.machine(), *numbers])
