"""Artifacts on disk: spec.json says what was chosen, model.safetensors holds the weights. No pickle."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors

from pruners.artifact import Decomposition
from pruners.errors import BadArtifact
from pruners.planning import LayerChoice, Plan
from pruners.shapes import LayerShape

_FORMAT = 1


def save(artifact: Decomposition, directory: Path) -> None:
    """Weights first; the spec, which holds their checksum, makes the artifact valid."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = serialize_tensors({name: tensor.contiguous() for name, tensor in artifact.tensors.items()})
    spec = {
        "format": _FORMAT,
        "kind": "decomposition",
        "complete": artifact.complete,
        "plan": asdict(artifact.plan),
        "errors": artifact.errors,
        "layer_errors": artifact.layer_errors,
        "shapes": {name: asdict(shape) for name, shape in artifact.shapes.items()},
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    _replace(directory / "model.safetensors", weights)
    _replace(directory / "spec.json", json.dumps(spec, indent=2).encode() + b"\n")


def load(directory: str | Path) -> Decomposition:
    """The artifact that was saved there. BadArtifact where a file is missing, damaged, or not of this artifact."""
    directory = Path(directory)
    spec_bytes, weights = _read(directory / "spec.json"), _read(directory / "model.safetensors")
    try:
        spec = json.loads(spec_bytes)
        if spec["kind"] != "decomposition" or spec["format"] != _FORMAT:
            raise BadArtifact(
                f"{directory / 'spec.json'} is a {spec['kind']} of format {spec['format']}, not a decomposition of format {_FORMAT}."
            )
        if spec["sha256"] != hashlib.sha256(weights).hexdigest():
            raise BadArtifact(f"{directory / 'model.safetensors'} is damaged, or not the file that spec.json was written with.")
        return _artifact(spec, weights)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise BadArtifact(f"{directory / 'spec.json'} is damaged or no artifact's: {type(error).__name__}: {error}") from None


def _artifact(spec: dict[str, Any], weights: bytes) -> Decomposition:
    layers = {name: LayerChoice(**choice) for name, choice in spec["plan"]["layers"].items()}
    shapes = {name: LayerShape(**(shape | {"kernel": tuple(shape["kernel"])})) for name, shape in spec["shapes"].items()}
    plan = Plan(**(spec["plan"] | {"layers": layers}))
    return Decomposition(plan, shapes, parse_tensors(weights), spec["layer_errors"], spec["complete"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadArtifact(f"No artifact at {path.parent}: {path.name} cannot be read ({error.strerror}).") from None


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
