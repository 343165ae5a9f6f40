"""What a compression gives, of any kind."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from safetensors.torch import save as serialize_tensors
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.whole_files import write_whole

FORMAT = 3
"""Raised when an artifact's files change their form."""
UNPACKED = 2
"""The form before, which is read too: masks and what they leave are not packed."""


class Artifact(ABC):
    """How a network was made smaller.

    Applied to the dense network, or to its factory's, it gives the small one. ``complete`` says that it holds
    all parameters and buffers of the small network, not only those that the method chose.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]]
    complete: bool

    @property
    @abstractmethod
    def method(self) -> str:
        """Return the name of the method that chose."""

    @property
    @abstractmethod
    def params(self) -> int:
        """Count the compressible weights that are left."""

    @property
    @abstractmethod
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives; a loaded artifact has none."""

    @abstractmethod
    def apply(self, model: nn.Module) -> nn.Module:
        """Return a compressed copy of ``model``, which must have the compressed network's layers.

        ``model`` itself is not changed. Wrappers around it (`torch.compile`, DataParallel,
        DistributedDataParallel, AveragedModel) are left out of the copy.

        A complete artifact gives the captured network whatever the model's own weights are.
        """

    @abstractmethod
    def capture(self, small: nn.Module) -> "Artifact":
        """Return this artifact with all parameters and buffers of ``small``.

        ``small`` is a (perhaps retrained) network that `apply` gave.
        """

    @abstractmethod
    def project_back(self, small: nn.Module) -> nn.Module:
        """Return a network of the dense network's shape that computes the same function as ``small``.

        ``small`` is a (perhaps retrained) network that `apply` gave; it is not changed. Wrappers around it
        are left out. What comes back can be compressed again, by any method (Liebenwein et al. 2021, section
        3: the way from one step of compressing and retraining to the next).

        BadArtifact for a network that is not of this artifact.
        """

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Describe the artifact, all but its tensors, as JSON-able data."""

    @abstractmethod
    def files(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Return the tensors, by the name of the .safetensors file that holds them and by their own."""

    @classmethod
    @abstractmethod
    def restored(cls, described: Mapping[str, Any], files: Mapping[str, Mapping[str, Tensor]]) -> Self:
        """Restore the artifact that `described` and `files` told of; ``described`` has their format, too.

        Raises KeyError, TypeError or AttributeError for another's data.
        """

    def save(self, directory: str | Path) -> None:
        """Write the artifact into ``directory``, which is created: spec.json and the .safetensors files.

        Each file appears whole or not at all. spec.json says what was chosen and holds the other files'
        checksums, and of a tensor with several names those under which it is in no file; the tensors go
        first, so that it makes the artifact valid.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        files = self.files()
        tied = {name: _other_names(tensors) for name, tensors in files.items()}
        contents = {
            f"{name}.safetensors": serialize_tensors(
                {n: tensor.contiguous() for n, tensor in tensors.items() if n not in tied[name]}
            )
            for name, tensors in files.items()
        }
        spec = {
            "format": FORMAT,
            "kind": self.kind,
            **self.described(),
            "tied": {name: others for name, others in tied.items() if others},
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        for name, content in contents.items():
            write_whole(directory / name, content)
        write_whole(directory / "spec.json", json.dumps(spec, indent=2).encode() + b"\n")


def _other_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Map the names of tensors that have come before to their first name."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}
    return {name: of for name, of in names.items() if name != of}


def network_of(artifact: Artifact) -> nn.Module:
    """Build the small network of an artifact made in this process; PrunerError for one that was loaded."""
    if artifact.source is None:
        raise PrunerError("This artifact has no network beside it: give artifact.apply(model) instead.")
    return artifact.apply(artifact.source)
