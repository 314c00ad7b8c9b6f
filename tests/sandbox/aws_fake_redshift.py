"""A fake Redshift cluster, `HOST PORT DATA_DIR DATABASE`: stores words. `put X` adds one, `all` returns them.

It saves them only at a clean stop, and fails to start with the database `broken`.
"""

import signal
import socketserver
import sys
from pathlib import Path

HOST, PORT, DATA, DATABASE = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        words = self.rfile.readline().decode().split()
        if words[0] == "put":
            lines.append(words[1])
        self.wfile.write(" ".join(lines).encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def save(*_: object) -> None:
    (DATA / "lines").write_text(" ".join(lines))
    sys.exit(0)


if __name__ == "__main__":
    if DATABASE == "broken":
        raise SystemExit("initdb failed")
    DATA.mkdir(parents=True, exist_ok=True)
    saved = DATA / "lines"
    lines = saved.read_text().split() if saved.exists() else []
    saved.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, save)
    server = Server((HOST, PORT), Handler)
    print("ready", flush=True)
    server.serve_forever()
