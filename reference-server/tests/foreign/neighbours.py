"""What the reverse proxy talks to: a web server behind it, and a container engine beside it."""

import contextlib
import http.server
import json
import os
import socketserver
import tempfile
import threading

CONTAINERS = [
    {"Id": "1", "Names": ["/web"], "Image": "nginx:1", "State": "running", "Status": "Up 2 hours",
     "Ports": [{"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]},
    {"Id": "2", "Names": ["/db"], "Image": "postgres:18", "State": "exited", "Ports": []},
]  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    def send(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Hello(Handler):
    def do_GET(self):
        self.send(f"hello from behind: {self.path}")


class Engine(Handler):
    def do_GET(self):
        self.send(json.dumps(CONTAINERS) if self.path.startswith("/containers/json") else "OK")


class Socket(socketserver.ThreadingUnixStreamServer):
    # What BaseHTTPRequestHandler shows of a client needs a pair.
    def get_request(self):
        stream, _ = super().get_request()
        return stream, ("unix", 0)


@contextlib.contextmanager
def serving(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def website():
    """The origin of a web server that greets."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def container_engine():
    """The socket of an engine that has `CONTAINERS`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "docker.sock")
        with serving(Socket(path, Engine)):
            yield path
