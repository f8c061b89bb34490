"""Room in PostgreSQL and in Redis, for one run."""

import contextlib
import os
import secrets
import urllib.parse


@contextlib.contextmanager
def shared():
    """The settings of servers that share a database and a store, both gone with the block."""
    # Only where they are needed.
    import psycopg
    import redis

    name = f"mcp_foreign_{secrets.token_hex(4)}"
    postgres = os.environ.get("MCP_TEST_POSTGRES", "postgres://root@127.0.0.1:5432/root")
    store = os.environ.get("MCP_TEST_REDIS", "redis://127.0.0.1:6379")
    options = urllib.parse.quote(f"-c search_path={name} -c synchronous_commit=off")
    database = f"{postgres}{'&' if '?' in postgres else '?'}options={options}"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE SCHEMA {name}")
        try:
            yield {
                "MCP_PLATFORM__DATABASE": database,
                "MCP_SCHOOL__DATABASE": database,
                "MCP_PROXY__DATABASE": database,
                "MCP_STORE__URL": store,
                "MCP_STORE__PREFIX": f"{name}:",
                "MCP_KEYS": secrets.token_urlsafe(32),
            }
        finally:
            for schema in (name, f"{name}_platform", f"{name}_school", f"{name}_proxy"):
                server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            with redis.Redis.from_url(store) as client:
                for key in client.scan_iter(match=f"{name}:*"):
                    client.delete(key)
