"""The command's first step, which imports nothing: a broken installation cannot say so itself."""

import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

_HIDDEN = (
    "tombola: PyPI's package sweeps {version} (the extra wandb[sweeps]) hides this project's package "
    "of the same name. Run `pip uninstall sweeps`, then install tombola again; wandb works without it."
)
_BROKEN = "tombola: The installation is broken ({error}). Run `make setup`, or install tombola again."


def main() -> None:
    """Run the command, or say in a sentence or two why it cannot run."""
    version = version_that_hides_ours()
    if version is not None:
        _refuse(_HIDDEN.format(version=version))
    try:
        from sweeps.cli import main as command
    except ImportError as error:
        _refuse(_BROKEN.format(error=error))
    command()


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(2)


def version_that_hides_ours() -> str | None:
    """Return the version of PyPI's ``sweeps`` when ``import sweeps`` would find that one."""
    try:
        theirs = metadata.distribution("sweeps")
    except metadata.PackageNotFoundError:
        return None
    found = importlib.util.find_spec("sweeps")
    if found is None or found.origin is None:
        return None
    return (
        theirs.version if Path(found.origin) == Path(str(theirs.locate_file("sweeps/__init__.py"))) else None
    )


if __name__ == "__main__":
    main()
