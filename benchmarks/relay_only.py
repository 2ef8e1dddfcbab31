"""A gateway without farthing: bytes in, bytes out, nothing metered.

    python benchmarks/relay_only.py PORT UPSTREAM_URL aiohttp|own

Two yardsticks of ``benchmarks/gateway.py``. With ``aiohttp`` it is what a careful Python relay is
made of, uvicorn and aiohttp; with ``own`` it has farthing's connections to Claude, and what remains
above it is what farthing's work costs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

import uvloop

from farthing.gateway.asgi import Receive, Scope, Send
from farthing.gateway.bodies import read_body
from farthing.gateway.server import Server, listen
from farthing.transport import Upstream, UpstreamSettings
from farthing.transport.headers import request_headers
from farthing.transport.proxied import ProxiedUpstream


async def main(port: int, url: str, client: str) -> None:
    settings = UpstreamSettings(url=url)
    own, other = Upstream(settings), ProxiedUpstream(settings, trust=None, proxy=None)
    upstream = other if client == "aiohttp" else own

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, 1 << 30)
        target = (scope["raw_path"], scope["query_string"])
        answer = await upstream.send(
            scope["method"], target, request_headers(scope["headers"]), body
        )
        head = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await send(head)
        async for chunk in answer.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        answer.close()

    await Server(app).serve_on(listen("127.0.0.1", port))
    await own.close()
    await other.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
