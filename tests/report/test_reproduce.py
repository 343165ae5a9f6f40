"""The commands in a report are those that work where the study lives."""

from dataclasses import replace
from pathlib import Path

import pytest

from sweeps.report.reproduce import again
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place

from .studies import study_record


@pytest.mark.parametrize(
    ("directory", "storage", "command"),
    [
        (Path("runs/a b"), None, "tombola run 'runs/a b/sweep.yaml' --out 'runs/a b_again'"),
        (
            Path("runs/a"),
            "postgresql+psycopg://me@db/team",
            "tombola run runs/a/sweep.yaml --out runs/a_again --set name=alds_digits_again",
        ),
        (ObjectPath("s3://bucket", "a"), None, "tombola run sweep.yaml --out s3://bucket/a_again"),
    ],
)
def test_a_study_can_be_run_once_more(directory: Place, storage: str | None, command: str) -> None:
    record = study_record(Path(), trials=1)
    provenance = {**record.provenance, "storage": storage}
    [step, *_] = again(replace(record, directory=directory, provenance=provenance))
    assert step.commands == ("git checkout 3f2a9c1", command)
    assert ("saved as sweep.yaml" in step.what) == isinstance(directory, ObjectPath)
