"""The loading of what `Artifact.save` wrote. No pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors

from pruners.artifact import FORMAT, UNPACKED, Artifact
from pruners.channels.channels import Channels
from pruners.errors import BadArtifact
from pruners.lowrank.decomposition import Decomposition
from pruners.sparse.mask import Mask

_KINDS: dict[str, type[Artifact]] = {"decomposition": Decomposition, "mask": Mask, "channels": Channels}


def load(directory: str | Path) -> Artifact:
    """Load the artifact that was saved in ``directory``.

    Raises BadArtifact where a file is missing, damaged, or not of this artifact.
    """
    directory = Path(directory)
    spec_bytes = _read(directory / "spec.json")
    try:
        spec = json.loads(spec_bytes)
        kind, number = spec["kind"], spec["format"]
        if kind not in _KINDS or number not in (UNPACKED, FORMAT):
            raise BadArtifact(
                f"{directory / 'spec.json'} is a {kind} of format {number}; known are "
                f"{', '.join(_KINDS)} of format {UNPACKED} and {FORMAT}."
            )
        return _artifact(spec, directory)
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        raise BadArtifact(
            f"{directory / 'spec.json'} is damaged or no artifact's: {type(error).__name__}: {error}"
        ) from None


def _artifact(spec: dict[str, Any], directory: Path) -> Artifact:
    files = {}
    for name, expected in spec["sha256"].items():
        content = _read(directory / Path(name).name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise BadArtifact(
                f"{directory / name} is damaged, or not the file that spec.json was written with."
            )
        files[name.removesuffix(".safetensors")] = parse_tensors(content)
    for name, others in spec.get("tied", {}).items():
        files[name] |= {other: files[name][first] for other, first in others.items()}
    return _KINDS[spec["kind"]].restored(spec, files)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadArtifact(
            f"No artifact at {path.parent}: {path.name} cannot be read ({error.strerror})."
        ) from None
