"""The official Python SDK logs in at a server that it knows nothing of, and steps up.

    python oauth.py http://127.0.0.1:8787/mcp

Discovery, registration, login page, token, tools/call, step-up after 403: all of it is done by the
SDK; only the person at the login page is played here, who is `admin`. Prints a transcript of every
request, and fails when a step of the six is missing. `cargo xtask oauth` runs it.
"""

import asyncio
import re
import sys
from html import unescape
from urllib.parse import parse_qs, urljoin, urlparse

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

READ = "instainstru_metrics_describe"
PREVIEW = "instainstru_invites_preview"
CALLBACK = "http://127.0.0.1:9/callback"


class Memory:
    tokens = None
    client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


class Person:
    """Opens the login page and presses the button with its name."""

    def __init__(self, name):
        self.name = name
        self.landed = ""
        self.asked_for = []

    async def open(self, url):
        self.asked_for.append(parse_qs(urlparse(url).query).get("scope", [""])[0])
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(url)
            assert page.status_code == 200, page.text
            fields = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
            buttons = re.findall(r'<button name="([^"]*)" value="([^"]*)"', page.text)
            button = next(each for each in buttons if each[1] == self.name)
            form = {unescape(name): unescape(value) for name, value in [*fields, button]}
            done = await browser.post(url.split("?")[0], data=form)
            assert done.status_code == 303, done.text
            self.landed = urljoin(url, done.headers["location"])

    async def come_back(self):
        query = {name: values[0] for name, values in parse_qs(urlparse(self.landed).query).items()}
        return AuthorizationCodeResult(
            code=query["code"], state=query.get("state"), iss=query.get("iss")
        )


class Transcript(httpx2.AsyncHTTPTransport):
    """Every exchange of the SDK, in order."""

    lines: list

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        what = request.headers.get("mcp-name") or request.headers.get("mcp-method") or ""
        challenge = response.headers.get("www-authenticate", "")
        line = f"{request.method} {request.url.path} {what} -> {response.status_code} {challenge}"
        self.lines.append(" ".join(line.split()))
        print(self.lines[-1], flush=True)
        return response


async def log_in(url, mode):
    print(f"-- {mode}", flush=True)
    person, memory, transcript = Person("admin"), Memory(), Transcript()
    transcript.lines = []
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="The Python SDK", redirect_uris=[CALLBACK]
        ),
        storage=memory,
        redirect_handler=person.open,
        callback_handler=person.come_back,
    )
    async with httpx2.AsyncClient(auth=auth, transport=transcript, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            print("speaks", client.protocol_version, flush=True)
            public = {tool.name for tool in (await client.list_tools()).tools}
            assert "echo" in public and READ not in public, "without a token, what is public"
            assert memory.tokens is None, "and nobody had to log in for that"
            read = await client.call_tool(READ, {"metric_name": "founding.cap"})
            assert not read.is_error, read
            low = memory.tokens.scope
            assert low == "copilot:read", low
            arguments = {"recipient_emails": ["ann@example.com"]}
            preview = await client.call_tool(PREVIEW, arguments)
            assert not preview.is_error, preview
            assert preview.structured_content["data"]["confirm_token"], preview
            full = set(memory.tokens.scope.split())
            assert full == {"copilot:read", "copilot:write"}, full
    check(transcript.lines, person)


def check(lines, person):
    """The steps are there, in this order."""
    steps = [
        ("1 challenge", r"POST /mcp.* -> 401 .*resource_metadata="),
        ("1 discovery of the resource", r"GET /.well-known/oauth-protected-resource\S* -> 200"),
        ("1 discovery of the server", r"GET /.well-known/(oauth-authorization-server|openid-configuration)\S* -> 200"),
        ("2 registration", r"POST /oauth2/register -> 201"),
        ("4 token", r"POST /oauth2/token -> 200"),
        ("5 call", r"POST /mcp.* -> 200"),
        ("6 too little", r'POST /mcp.* -> 403 .*error="insufficient_scope".*scope="copilot:write"'),
        ("6 another token", r"POST /oauth2/token -> 200"),
        ("6 call", r"POST /mcp.* -> 200"),
    ]
    rest = iter(lines)
    for name, pattern in steps:
        assert any(re.search(pattern, line) for line in rest), f"missing: {name}"
    # 3: the login page, once for each token.
    assert person.asked_for == ["copilot:read", "copilot:read copilot:write"], person.asked_for
    print("discovery, registration, login, token, call, step-up: all six")


async def main(url):
    # As 2026-07-28 has it, and with the handshake of the revisions before.
    for mode in ("auto", "legacy"):
        await log_in(url, mode)


asyncio.run(main(sys.argv[1]))
