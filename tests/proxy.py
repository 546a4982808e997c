"""A TCP proxy that misbehaves on request: cuts, holds up, swallows or refuses what passes."""

import socket
import threading
from contextlib import suppress


class Pipe:
    """One proxied connection; each direction can be held up without anybody noticing."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._sockets = (client, server)
        self.closed = False
        self.towards_server = threading.Event()
        self.towards_client = threading.Event()
        for source, target, gate in ((client, server, self.towards_server), (server, client, self.towards_client)):
            gate.set()
            threading.Thread(target=self._pump, args=(source, target, gate), daemon=True).start()

    def cut(self) -> None:
        self.closed = True
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.towards_server.set()
        self.towards_client.set()

    def reset(self) -> None:
        """Cut it so that both ends are told RST, not FIN."""
        for end in self._sockets:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.cut()

    def swallow(self) -> None:
        """Let nothing through any more in either direction; the connection stays open."""
        self.towards_server.clear()
        self.towards_client.clear()

    def _pump(self, source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                gate.wait()
                target.sendall(data)
        self.cut()


class Proxy:
    """Stands between a client and a server on this machine."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.pipes: list[Pipe] = []
        """All connections there ever were, oldest first."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._accepting = True
        threading.Thread(target=self._accept, daemon=True).start()

    def live(self) -> list[Pipe]:
        return [pipe for pipe in self.pipes if not pipe.closed]

    def go_down(self) -> None:
        """Cut every connection and every new one at once, as a stopped server does."""
        self._accepting = False
        self.cut()

    def come_back(self) -> None:
        self._accepting = True

    def cut(self) -> None:
        for pipe in self.pipes:
            pipe.cut()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._reach() if self._accepting else None
                if server is None:
                    client.close()
                else:
                    self.pipes.append(Pipe(client, server))

    def _reach(self) -> socket.socket | None:
        try:
            return socket.create_connection(self._target)
        except OSError:
            return None
