"""The files of a study's folder that Optuna's dashboard offers: the report, results and networks."""

import io
import json
import mimetypes
import uuid
from typing import BinaryIO, NoReturn

from bottle import HTTPError
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial

from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import outcome_of, root_of
from trainables.places.place import Place, matching

_PREFIX = "artifacts:"  # of the attributes in which Optuna keeps what is attached
_FROM_THE_FOLDER = "These files come from the study's folder; put new ones there."


class Attachments:
    """The files of one study by the ids that the dashboard asks for them with: an artifact store of Optuna's.

    Nothing is copied. The files of a trial are looked for once it is complete.
    """

    def __init__(self, paths: StudyPaths) -> None:
        self._paths = paths
        self._files: dict[str, Place] = {}
        self._of_trials: dict[int, dict[str, str]] = {}

    def of_study(self) -> dict[str, str]:
        """Return the study's own files as Optuna's attributes."""
        return self._attributes([self._paths.report] if self._paths.report.exists() else [])

    def report(self, study_id: int) -> str | None:
        """Return the path under which the dashboard's server has the report, where there is one."""
        return next((f"/artifacts/{study_id}/{k.removeprefix(_PREFIX)}" for k in self.of_study()), None)

    def of_trial(self, trial: FrozenTrial) -> dict[str, str]:
        """Return a trial's result and networks as Optuna's attributes."""
        if outcome_of(trial) != "complete":
            return {}
        if trial.number not in self._of_trials:
            root = root_of(trial)
            result, networks = self._paths.result(root), matching(self._paths.networks(root), "*/*")
            files = [*([result] if result.exists() else []), *networks]
            self._of_trials[trial.number] = self._attributes(files)
        return self._of_trials[trial.number]

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file to be read. Raises ``ArtifactNotFound`` where it is none of this study's."""
        try:
            return io.BytesIO(self._files[artifact_id].read_bytes())
        except (KeyError, FileNotFoundError) as error:
            raise ArtifactNotFound(artifact_id) from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> NoReturn:
        """Refuse a file that is sent to the dashboard."""
        raise HTTPError(403, _FROM_THE_FOLDER)

    def remove(self, artifact_id: str) -> NoReturn:
        """Refuse to remove a file."""
        raise HTTPError(403, _FROM_THE_FOLDER)

    def _attributes(self, files: list[Place]) -> dict[str, str]:
        return dict(map(self._attribute, files))

    def _attribute(self, file: Place) -> tuple[str, str]:
        name = str(file).removeprefix(f"{self._paths.root}/")
        found = str(uuid.uuid5(uuid.NAMESPACE_URL, str(file)))
        self._files[found] = file
        kind, encoding = mimetypes.guess_type(name)
        told = {
            "artifact_id": found,
            "filename": name,
            "mimetype": kind or "application/octet-stream",
            "encoding": encoding,
        }
        return _PREFIX + found, json.dumps(told)
