"""Serve Optuna's dashboard for a study directory, on this machine alone."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard

from sweeps.dashboard.attachments import Attachments
from sweeps.dashboard.notes import Notes
from sweeps.dashboard.study_view import StudyView
from sweeps.errors import FAILED, SweepError
from sweeps.report import write_report
from sweeps.report.headline import headline
from sweeps.study import storage
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths

_HERE = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a request."""


def dashboard_server(paths: StudyPaths, url: str | None, port: int) -> WSGIServer:
    """Open the dashboard's server; ``serve_forever`` runs it, and 0 takes a free port.

    ``url`` is the study's database where its URL needs a password. Raises `SweepError` where there is no
    study, or the port is taken.
    """
    record = load_record(paths.root, url)
    with suppress(PermissionError):  # of a folder that may be read only, the last one is shown
        write_report(record, paths.report)
    opened = storage.open_storage(paths, url or record.provenance["storage"])
    attachments = Attachments(paths)
    notes = Notes(paths, lambda: headline(load_record(paths.root, url)))
    view = StudyView(opened, record.name, notes, attachments)
    application = optuna_dashboard.wsgi(view, artifact_store=attachments)
    logging.getLogger("optuna_dashboard").setLevel(logging.ERROR)
    try:
        server = make_server(_HERE, port, _Guard(application), server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise SweepError(
            f"Port {port} cannot be used ({error.strerror}); give --port another.", FAILED
        ) from None
    return server


class _Guard:
    """Answers only requests that name this machine.

    A page of the internet that a browser here has open could otherwise read the study by a name of its own
    that it lets point to 127.0.0.1.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").partition(":")[0]  # no port follows where it is 80
        if host not in (_HERE, "localhost"):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Ask for 127.0.0.1 or localhost."]
        return self._application(environ, start_response)
