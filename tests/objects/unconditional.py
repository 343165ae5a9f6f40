"""A server between an object store and who asks it: it drops the conditions of writes, as old servers do."""

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CONDITIONS = ("if-none-match", "if-match")
_OF_THE_CONNECTION = ("connection", "content-length", "date", "server", "transfer-encoding")


@contextmanager
def unconditional(port: int) -> Iterator[str]:
    """Yield the URL of a server that asks the one at ``port`` of this machine."""

    class Between(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            store = http.client.HTTPConnection("127.0.0.1", port)
            passed_on = {n: v for n, v in self.headers.items() if n.lower() not in _CONDITIONS}
            store.request(self.command, self.path, self.rfile.read(size) if size else None, passed_on)
            answer = store.getresponse()
            body = answer.read()
            store.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_THE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
