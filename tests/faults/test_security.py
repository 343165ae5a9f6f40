"""Nothing that is read runs code, nothing that is shown is markup, no secret is kept."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

import pruners
import sweeps
from tests.faults.conftest import ROOT, Tombola
from tests.faults.users import EVIL
from tests.sweeps.studies import digits, run

CANARY = "canary"
PICKLE = b"cposix\nsystem\n(S'touch canary'\ntR."
"""What pickle, and torch.load without weights_only, make a shell command of."""
YAML = b'!!python/object/apply:os.system ["touch canary"]\n'
OUTSIDE = "../../outside"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of every kind of file."""
    parameters = {"training.lr": {"min": 0.01, "max": 0.1}}
    folder = tmp_path_factory.mktemp("security") / "study"
    run(digits(parameters=parameters, baselines=["svd"]), folder)
    return folder


def files(study: Path) -> list[Path]:
    return [path for path in study.rglob("*") if path.is_file() and path.name != "report.html"]


def test_the_pickle_would_run_where_it_were_unpickled(tmp_path: Path) -> None:
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    (tmp_path / "it").write_bytes(PICKLE)
    subprocess.run([sys.executable, "-c", code, "it"], cwd=tmp_path, check=True)
    assert (tmp_path / CANARY).exists()


@pytest.mark.parametrize("content", [PICKLE, YAML], ids=["pickle", "yaml tags"])
def test_no_file_of_a_study_runs_code_when_it_is_read(
    tmp_path: Path, study: Path, tombola: Tombola, content: bytes
) -> None:
    names = sorted({path.name for path in files(study)})
    assert {"sweep.yaml", "study.json", "journal.log", "result.json", "model.safetensors"} <= {*names}
    for name in names:
        copy = tmp_path / f"copy of {name}"
        shutil.copytree(study, copy)
        for path in copy.rglob(name):
            path.write_bytes(content)
        for command in (["status", str(copy)], ["export", str(copy), "--to", str(tmp_path / "out")]):
            told = tombola(*command)
            assert "Traceback" not in told.errors and told.code in (0, 1, 2), (name, told.errors)
        shutil.rmtree(copy)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert not list(tmp_path.rglob(CANARY))


def test_a_store_with_pickles_is_rebuilt_and_runs_none_of_them(
    tmp_path: Path, study: Path, tombola: Tombola
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    kept = [path for path in (copy / "store").rglob("*.*") if path.is_file() and path.suffix != ".jsonl"]
    kept = [path for path in kept if not path.name.startswith("lease")]  # would be waited for
    assert any(path.suffix in (".pt", ".safetensors") for path in kept)
    for path in kept:
        path.write_bytes(PICKLE)
    resumed = tombola("resume", "study", "--in-process", "--trials", "3")
    assert resumed.code == 0, resumed.errors
    assert sweeps.load_record(copy).count("complete") == 3
    assert not list(tmp_path.rglob(CANARY))


@pytest.mark.parametrize("content", [PICKLE, YAML], ids=["pickle", "yaml tags"])
def test_an_artifact_runs_no_code(tmp_path: Path, study: Path, content: bytes) -> None:
    for name in sorted({path.name for path in files(study / "best")}):
        copy = tmp_path / name
        shutil.copytree(study / "best", copy)
        (copy / name).write_bytes(content)
        with pytest.raises(pruners.PrunerError):
            pruners.load(copy)
    assert not list(Path().glob(CANARY)) and not list(tmp_path.rglob(CANARY))


def test_a_sweep_file_with_tags_is_refused(tombola: Tombola) -> None:
    (tombola.folder / "s.yaml").write_bytes(b"name: " + YAML)
    told = tombola("validate", "s.yaml")
    assert told.code == 2 and told.errors.count("\n") == 1 and "s.yaml" in told.errors
    assert not (tombola.folder / CANARY).exists()


def test_a_checkpoint_of_ones_own_is_read_as_data(tombola: Tombola) -> None:
    (tombola.folder / "mine.pt").write_bytes(PICKLE)
    task = {"network": "lenet_300_100", "data": "digits", "checkpoint": "mine.pt"}
    (tombola.folder / "s.yaml").write_text(json.dumps(digits(task=task)))
    told = tombola("run", "s.yaml", "--in-process", "--out", "here")
    assert told.code in (1, 2) and "mine.pt" in told.errors, told.errors
    assert not list(tombola.folder.rglob(CANARY))


def test_no_name_in_a_file_leads_out_of_the_folder(tmp_path: Path, study: Path, tombola: Tombola) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    told = json.loads((copy / "study.json").read_text())
    told |= {"baselines": [f"baseline-{OUTSIDE}"], "own": OUTSIDE, "id": OUTSIDE}
    (copy / "study.json").write_text(json.dumps(told))
    before = {path for path in tmp_path.rglob("*") if copy not in path.parents}
    tombola("status", "study")
    tombola("report", "study")
    refused = tombola("export", "study", "--trial", OUTSIDE, "--to", "out")
    assert refused.code == 2 and "there is no trial" in refused.errors
    after = {path for path in tmp_path.rglob("*") if copy not in path.parents}
    assert {path.name.partition(" ")[0] for path in after - before} <= {"printed", "errors"}


def test_the_source_reads_nothing_that_could_be_code() -> None:
    """Each call of a loader that may run code says that it shall not."""
    calls = []
    for path in (p for floor in ("pruners", "trainables", "sweeps") for p in (ROOT / floor).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert name not in ("eval", "exec", "os.system", "yaml.load", "yaml.unsafe_load"), path
                assert given.get("shell") != "True", path
                if name == "torch.load":
                    calls.append(given.get("weights_only"))
    assert len(calls) >= 2 and set(calls) == {"True"}


class Elements(HTMLParser):
    """The elements of a page, as a browser takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.scripts and self.cdata_elem == "script":
            self.scripts[-1] += data


def test_names_and_messages_in_the_report_are_no_markup(tmp_path: Path) -> None:
    task = {"network": "tests.faults.users:evil_network", "data": "digits"}
    parameters = {"task.network_options.label": {"values": [EVIL, "fine"]}}
    enough = {"method": "grid", "run_cap": 2, "description": EVIL, "task": task, "parameters": parameters}
    record = run(digits(**enough), tmp_path / "study")
    assert (record.count("complete"), record.count("failed")) == (1, 1)
    text = (tmp_path / "study" / "report.html").read_text()
    assert text.count("alert(1)") > 5, "they are shown: description, values, reason, layers"
    page = Elements()
    page.feed(text)
    assert not [element for element in page.found if "onerror" in element[1] or element[0] == "img"]
    assert len(page.scripts) == 3 and not any(s.strip().startswith("alert") for s in page.scripts)
    assert not [tag for tag, _ in page.found if tag in ("flatten", "second")]


SECRETS = {
    "DATABASES_PASSWORD": "planted-database-password",
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEYPLANTED",
    "AWS_SECRET_ACCESS_KEY": "planted/secret+access/key",
    "RAY_AUTH_TOKEN": "planted-token-of-ray-planted-token-of-ray",
}


def seen_while(process: "subprocess.Popen[str]") -> str:
    """The command lines of all processes that the machine had while ``process`` ran."""
    lines = set()
    while process.poll() is None:
        for other in psutil.process_iter():
            try:
                lines.add(" ".join(other.cmdline()))
            except psutil.Error:
                continue
        time.sleep(0.1)
    return "\n".join(lines)


def test_planted_secrets_are_found_nowhere(tmp_path: Path, postgresql: str) -> None:
    password = postgresql.split(":")[2].split("@")[0]
    secrets = SECRETS | {"DATABASES_PASSWORD": password}
    url = postgresql.replace(password, "${DATABASES_PASSWORD}")
    data = digits(
        name="secrets", storage={"study": url}, parameters={"training.lr": {"min": 0.01, "max": 0.1}}
    )
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    environment = os.environ | secrets | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    environment.pop("WANDB_SERVICE", None)  # this very process's, where a study ran in it before
    command = [sys.executable, "-m", "tombola", "run", "s.yaml", "--out", "study", "--in-process"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, text=True)
        lines = seen_while(process)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert "tombola run" in lines
    places = {"the list of processes": lines.encode()}
    places |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(name.endswith(".wandb") for name in places)
    for name, secret in secrets.items():
        assert not [place for place, content in places.items() if secret.encode() in content], name


def test_ray_of_our_own_asks_for_a_token() -> None:
    code = (
        "from sweeps.running.own_token import guard_own_ray; guard_own_ray(); import ray._raylet as ray; "
        "print(ray.get_authentication_mode() == ray.AuthenticationMode.TOKEN)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(
        command, cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert answer.stdout == "True\n", answer.stderr
