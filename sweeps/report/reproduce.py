"""The commands that a reader of the report may want: to take the network out, and to have the study again."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from sweeps.report.drawing.wording import method_of, plain
from sweeps.study.record import StudyRecord
from trainables.places.object_path import ObjectPath


@dataclass(frozen=True)
class Take:
    """How the best network is had: a command, and a line of Python that loads what it wrote."""

    whose: str
    export: str
    load: str


@dataclass(frozen=True)
class Step:
    """What commands are for, and the commands; without any it is a fact."""

    what: str
    commands: tuple[str, ...]


def take_out(record: StudyRecord) -> Take | None:
    """Return how the best network is had; None while there is none."""
    if record.best is None:
        return None
    whose = method_of(record.best) + (", last level" if record.best.levels else "")
    load = 'pruners.load("small").apply(your_factory())'
    return Take(whose, f"tombola export {_folder(record)} --to small", load)


def again(record: StudyRecord) -> list[Step]:
    """Return the commands that run the study again, go on with it and write what a paper needs of it."""
    folder = _folder(record)
    return [
        _once_more(record),
        Step(
            "The figures of this page as PNG and SVG, and all trials as CSV:",
            (f"tombola report {folder} --figures figures --csv trials.csv",),
        ),
        *_made_with(record.provenance),
    ]


def _once_more(record: StudyRecord) -> Step:
    """Return what runs the study again.

    A database holds one study of a name, and a sweep file is read from this machine alone.
    """
    commit = record.provenance.get("git_commit")
    checkout = (f"git checkout {commit}",) if commit else ()
    is_far = isinstance(record.directory, ObjectPath)
    sweep = "sweep.yaml" if is_far else shlex.quote(f"{record.directory}/sweep.yaml")
    name = f" --set {shlex.quote(f'name={record.name}_again')}" if record.provenance.get("storage") else ""
    command = f"tombola run {sweep} --out {shlex.quote(f'{record.directory}_again')}{name}"
    saved = ", with the sweep file below saved as sweep.yaml" if is_far else ""
    return Step(f"The same study once more, in a folder of its own{saved}:", (*checkout, command))


def _folder(record: StudyRecord) -> str:
    return shlex.quote(str(record.directory))


def _made_with(came_from: Mapping[str, object]) -> list[Step]:
    versions, machine = came_from.get("versions"), came_from.get("machine")
    told = [plain(versions) if versions else ""]
    if isinstance(machine, Mapping):
        told.append(f"on {machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}")
    said = " ".join(filter(None, told))
    return [Step(f"Made with {said}.", ())] if said else []
