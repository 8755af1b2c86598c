"""An application as many are: connects to Redis for each request.

SPDX-License-Identifier: MIT
"""
import http.server
import os
import socket

REDIS = ("127.0.0.1", int(os.environ.get("REDIS_PORT", "6379")))
PORT = int(os.environ.get("PORT", "3000"))


class Visit(http.server.BaseHTTPRequestHandler):
    """Answers every GET with how many there have been."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with socket.create_connection(REDIS, 5) as redis:
            redis.sendall(b"INCR visits\r\n")
            visits = redis.makefile("rb").readline().strip(b":\r\n")
        body = b"visit %s\n" % visits
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """weir can log requests, once for all its applications."""


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Visit).serve_forever()
