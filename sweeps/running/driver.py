"""Drive a sweep from its file to its report; on a directory that holds the study, go on with that."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from rich.console import Console

import trainables
from sweeps.running import in_process, opening
from sweeps.running.closing import close, unread
from sweeps.running.conductor import Conductor, finished_result
from sweeps.running.on_ray import calls, connection, tuning
from sweeps.running.on_ray.in_use import in_use
from sweeps.running.on_ray.runtime_env import check_is_portable
from sweeps.running.progress import Progress
from sweeps.running.screening import Screening
from sweeps.running.standing import Standing
from sweeps.running.tracker_observer import TrackerObserver
from sweeps.search import rehearsal, samplers, schedulers
from sweeps.search.prepare import Prepared, prepare
from sweeps.search.unreached import unreached
from sweeps.study import retention, storage
from sweeps.study.driver.held import HeldStorage, folder_lock, hold_storage
from sweeps.study.ledger import Ledger
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import note
from sweeps.study.record import TARGET, TIME_IS_UP, StudyRecord
from sweeps.study.where import answering, study_place
from sweeps.sweep_file.keys import Resources
from sweeps.sweep_file.sweep import Sweep
from sweeps.tracking.sweep_config import sweep_config
from sweeps.tracking.tracker import Labels, Tracker
from trainables.places.place import Place, check
from trainables.store.disk import disk_full_explained


def run(
    sweep: Sweep,
    out: Place | str,
    *,
    address: str | None = None,
    without_ray: bool = False,
    console: Console | None = None,
) -> StudyRecord:
    """Run the sweep in the directory ``out`` until it is done or its time is up, and close it.

    ``out`` may be the URL of a folder in an object store. It is done when ``run_cap`` trials have ended.

    Closing is reading test, the export and the report.

    ``address`` is a Ray cluster that is already up; ``without_ray`` runs the trials one by one in this
    process. Raises `SweepError` with the exit code of what stands in the way, KeyboardInterrupt when stopped
    by hand; the same call then goes on where it stood.
    """
    paths = StudyPaths(study_place(out))
    if not without_ray or sweep.file.resources.processes > 1:
        check_is_portable(sweep)
    with answering(paths.root), disk_full_explained(paths.root):
        return _hold(sweep, paths, console or Console(quiet=True), address, without_ray)


def _hold(
    sweep: Sweep, paths: StudyPaths, console: Console, address: str | None, without_ray: bool
) -> StudyRecord:
    """Run the study once no other driver has it."""
    prepared = prepare(sweep)
    rehearsal.check(prepared)
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    for sentence in unreached(prepared):
        say(sentence)
    check(prepared.store(paths))
    for folder in (paths.root, paths.local):
        folder.mkdir(parents=True, exist_ok=True)
    file = sweep.file
    with folder_lock(paths, say).hold(), _quiet():
        provenance = opening.begin(paths, prepared)
        with hold_storage(paths, file.name, file.storage.study, say) as held:
            return _drive(prepared, paths, provenance, held, console, address, without_ray)


def _drive(
    prepared: Prepared,
    paths: StudyPaths,
    provenance: dict[str, Any],
    held: HeldStorage,
    console: Console,
    address: str | None,
    without_ray: bool,
) -> StudyRecord:
    """Run the study that this driver holds to its end."""
    sweep = prepared.sweep
    file, store = sweep.file, prepared.store(paths)
    retention.expire(file.retention, store)
    insist = held.patience.insist
    ledger = insist(lambda: _open_ledger(held, paths, prepared, provenance["id"]))
    record = insist(lambda: load_record(paths.root, file.storage.study))
    with contextlib.ExitStack() as opened:
        labels = _labels(prepared, provenance["id"])
        tracker = opened.enter_context(contextlib.closing(Tracker(paths, labels, file.wandb.mode)))
        observer = TrackerObserver(tracker, paths, provenance["id"])
        observer.settle(record)
        progress = _progress(console, prepared, record, paths)
        conductor = Conductor(prepared, ledger, paths, prepared.target, [observer, progress])
        idle = conductor.done and not unread(prepared, paths, record)
        opened.enter_context(_workers(sweep, address, without_ray or idle, progress.say))
        opened.enter_context(progress)
        if not conductor.done and _is_screened(
            prepared, conductor, ledger, held, paths, progress, without_ray
        ):
            note(paths, provenance, {TARGET: conductor.target})
            _run_trials(prepared, conductor, paths, address, without_ray, progress.say)
        time_is_up = not conductor.done
        if time_is_up:
            note(paths, provenance, {TIME_IS_UP: True})
        read_test = partial(_read_test, None if without_ray else file.resources)
        record = close(prepared, paths, file.storage.study, read_test, held.patience)
        if file.wandb.network and record.best:
            observer.best(record, record.best)
        retention.expire(file.retention, store)
        if not time_is_up:
            retention.keep_what_is_wanted(file.retention, store, paths, record)
        return record


def _labels(prepared: Prepared, study_id: str) -> Labels:
    file = prepared.sweep.file
    as_sweep = sweep_config(prepared) if file.wandb.sweep else None
    return Labels(file.project, file.entity, file.name, study_id, as_sweep)


def _open_ledger(held: HeldStorage, paths: StudyPaths, prepared: Prepared, study_id: str) -> Ledger:
    file = prepared.sweep.file
    study = storage.create(paths, file.name, held.storage, [m.goal for m in file.objectives])
    storage.tie(study, paths, study_id)
    study.set_metric_names(prepared.metric_names)
    if not file.screen:  # which passes them on once they are scored
        opening.enqueue_first(study, prepared)
    return opening.ledger(study, prepared, held, partial(finished_result, paths, prepared))


def _is_screened(
    prepared: Prepared,
    conductor: Conductor,
    ledger: Ledger,
    held: HeldStorage,
    paths: StudyPaths,
    progress: Progress,
    without_ray: bool,
) -> bool:
    """Screen the sweep where it says so, and put the best into the study; False where time was up before."""
    file = prepared.sweep.file
    if file.screen is None:
        return True
    screening = Screening(prepared, file.screen, paths, held)
    told = partial(progress.screened, file.screen.trials)
    if not screening.is_complete:
        if not without_ray and (measuring := screening.measuring()):
            calls.side_by_side(trainables.screened, file.resources, measuring)
        where = contextlib.nullcontext(_call_here) if without_ray else calls.worker(file.resources)
        with where as call:
            score = partial(call, trainables.screened)
            screening.run(score, lambda: conductor.time_is_up, told)
    if screening.is_complete:
        conductor.target = screening.pass_on(ledger.study)
        progress.trains(conductor.target, prepared.target)
    return screening.is_complete


def _call_here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _run_trials(
    prepared: Prepared,
    conductor: Conductor,
    paths: StudyPaths,
    address: str | None,
    without_ray: bool,
    say: Callable[[str], None],
) -> None:
    file = prepared.sweep.file
    scheduler = schedulers.build(
        file.early_terminate, file.objectives[0], prepared.reports.most, prepared.is_reference
    )
    if without_ray:
        in_process.run(conductor, scheduler)
    else:
        tuning.run(conductor, scheduler, file.resources, paths, address is None, say)
    if not conductor.is_over:
        # Tune answers the first Ctrl-C by ending its loop in good order.
        raise KeyboardInterrupt


def _progress(console: Console, prepared: Prepared, record: StudyRecord, paths: StudyPaths) -> Progress:
    kept = {t.key for t in record.feasible}
    ended = [t if t.key in kept else replace(t, values=None) for t in record.trials]
    standing = Standing(record.objectives, ended)
    return Progress(console, record.name, record.objectives, prepared.target, standing, paths, in_use)


def _workers(
    sweep: Sweep, address: str | None, without_ray: bool, say: Callable[[str], None]
) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if without_ray else connection.cluster(sweep, address, say)


def _read_test(
    resources: Resources | None, config: trainables.TrialConfig, which: Literal["dense", "trial"]
) -> dict[str, float]:
    """Read test where the trials ran: the driver may have neither the data nor the GPU."""
    if resources is None:
        return trainables.read_test(config, which)
    answer: dict[str, float] = calls.call(trainables.read_test, resources, config, which)
    return answer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's and Ray's own words, which would break into the display."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    with samplers.quiet():
        yield
