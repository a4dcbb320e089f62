"""GET over HTTP/3 by aioquic: `http3_get.py URL...` prints one JSON line a URL with the body in base64.

All URLs are of one host and share one connection. Certificates are not checked: they are made per test.
"""

import asyncio
import base64
import json
import ssl
import sys
from urllib.parse import urlsplit

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

TIMEOUT_SECONDS = 20


class Client(QuicConnectionProtocol):
    """One HTTP/3 connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.answers = {}

    async def get(self, url):
        """Answers `(headers, body)`."""
        stream = self._quic.get_next_available_stream_id()
        path = url.path + (f"?{url.query}" if url.query else "")
        head = {":method": "GET", ":scheme": "https", ":authority": url.netloc, ":path": path}
        self.answers[stream] = {
            "headers": {},
            "body": bytearray(),
            "done": asyncio.get_running_loop().create_future(),
        }
        pairs = [(name.encode(), value.encode()) for name, value in head.items()]
        self.http.send_headers(stream, pairs, end_stream=True)
        self.transmit()
        await self.answers[stream]["done"]
        return self.answers[stream]["headers"], bytes(self.answers[stream]["body"])

    def quic_event_received(self, event):
        for part in self.http.handle_event(event):
            answer = self.answers.get(getattr(part, "stream_id", None))
            if answer is None:
                continue
            if isinstance(part, HeadersReceived):
                answer["headers"] |= {k.decode(): v.decode() for k, v in part.headers}
            elif isinstance(part, DataReceived):
                answer["body"] += part.data
            if part.stream_ended and not answer["done"].done():
                answer["done"].set_result(None)


async def main(urls):
    parsed = [urlsplit(url) for url in urls]
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name="localhost"
    )
    host, port = parsed[0].hostname, parsed[0].port
    async with connect(host, port, configuration=configuration, create_protocol=Client) as client:
        for url in parsed:
            headers, body = await client.get(url)
            body = base64.b64encode(body).decode()
            print(json.dumps({"headers": headers, "body": body}), flush=True)


asyncio.run(asyncio.wait_for(main(sys.argv[1:]), TIMEOUT_SECONDS))
