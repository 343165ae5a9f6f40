"""The notebook runs from its first cell to its last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import PROJECT

SHORTER = {'"run_cap": 8': '"run_cap": 2', '"epochs": 6': '"epochs": 2'}


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    notebook = nbformat.read(PROJECT / "docs" / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    [study] = [cell for cell in notebook.cells if "tombola.run(" in cell.source]
    for long, short in SHORTER.items():
        assert long in study.source
        study.source = study.source.replace(long, short)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output.data
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
    assert any("<table" in data.get("text/html", "") and "best found" in data["text/html"] for data in shown)
    assert any("plotly" in kind for data in shown for kind in data)
    assert (tmp_path / "runs" / "notebook" / "report.html").exists()
