"""The reference server, started as an operator starts it, and the official Python SDK on it."""

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import services

# As 2026-07-28 has it, and with the handshake of the revisions before.
MODES = {"auto": "2026-07-28", "legacy": "2025-11-25"}
# Longer than a start takes on a busy machine.
START = 60


class Server:
    """Serves demo data of its own on a free port. Stopped with its block.

    With FOREIGN_RELAY, the program of that relay, these are two servers that share their databases and
    their store, each of which gets every other request.
    """

    def __init__(self, program, toolsets=(), **settings):
        self.program, self.toolsets, self.settings = program, toolsets, settings

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(tempfile.TemporaryDirectory())
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("MCP_")
            }
            environment["MCP_LOG__FORMAT"] = "json"
            # A script asks faster than people do.
            for limit in ("REQUESTS", "WRITES", "ANONYMOUS", "FAILED_AUTHENTICATIONS"):
                environment[f"MCP_LIMITS__{limit}"] = "off"
            environment["MCP_PLATFORM__RATE_LIMITS"] = "off"
            environment |= self.settings
            if relay := os.environ.get("FOREIGN_RELAY"):
                environment |= stack.enter_context(services.shared())
                relay = stack.enter_context(Relay(relay))
                environment["MCP_PUBLIC_URL"] = f"http://{relay.address}/mcp"
                self.instances = [self._start(stack, environment) for _ in range(2)]
                relay.lead_to(one.address for one in self.instances)
                address = relay.address
            else:
                self.instances = [self._start(stack, environment)]
                address = self.instances[0].address
            self.url = f"http://{address}/mcp"
            self._stack = stack.pop_all()
        return self

    def _start(self, stack, environment):
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--data", self.data]
        for name in self.toolsets:
            command += ["--toolset", name]
        return stack.enter_context(Instance(command, environment))

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    @property
    def log(self):
        return [line for one in self.instances for line in one.log]

    @property
    def proxies(self):
        """Where each of them listens as a reverse proxy."""
        return [one.proxy for one in self.instances]

    def run(self, *arguments):
        """What a subcommand prints."""
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, name):
        return self.run("token", "--as", name, "--data", self.data).strip()

    @contextlib.asynccontextmanager
    async def client(self, name, mode, **options):
        """The SDK, as somebody of the demo."""
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=mode, **options) as client:
                assert client.protocol_version == MODES[mode], client.protocol_version
                yield client


class Instance:
    """One process that serves. Stopped with its block."""

    def __init__(self, command, environment):
        self.command, self.environment = command, environment

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log, said = [], queue.Queue()
        threading.Thread(target=self._read, args=(said,), daemon=True).start()
        try:
            self.address = said.get(timeout=START)
        except queue.Empty:
            self.__exit__(None, None, None)
            raise SystemExit("the server does not serve:\n" + "".join(self.log)) from None
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _read(self, said):
        # Read to its end: a server that cannot log stands still.
        for line in self.process.stderr:
            self.log.append(line)
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if "address" in fields:
                    said.put(fields["address"])
                elif fields.get("message") == "the proxy listens":
                    self.proxy = fields["http"]


class Relay:
    """Gives requests to servers in turns: `cargo xtask relay`."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [program, "relay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()

    def lead_to(self, servers):
        print(*servers, file=self.process.stdin, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
