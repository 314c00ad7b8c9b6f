"""A fake Livy server, `HOST PORT`: answers GET /sessions. It fails to start with the EC2 role `broken`."""

import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"from": 0, "total": 0, "sessions": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    if os.environ["AWS_ACCESS_KEY_ID"] == "role-broken":
        raise SystemExit("there is no Java")
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
