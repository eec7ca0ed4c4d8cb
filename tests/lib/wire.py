"""The wire as a stranger would speak it: code generated from proto/af.proto, and a bare connection
that says what a test wants it to say."""
import atexit
import shutil
import subprocess
import sys
import tempfile

import zmq

from installation import ROOT, check

GENERATED = tempfile.mkdtemp(prefix="af-proto-")
atexit.register(shutil.rmtree, GENERATED, ignore_errors=True)
subprocess.run(["protoc", f"-I{ROOT}/proto", f"--python_out={GENERATED}", "af.proto"], check=True)
sys.path.insert(0, GENERATED)
import af_pb2  # noqa: E402  (made just now)

WAIT_MS = 20000


class Peer:
    def __init__(self, directory, address):
        self.signature = b"AF01"
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, address.encode())
        self.socket.connect(f"ipc://{directory}/run/broker.sock")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close(0)

    def send(self, kind, to, body, payload=None, correlation=1):
        route = af_pb2.Route(kind=kind, to=to, correlation=correlation)
        frames = [self.signature, route.SerializeToString(), body.SerializeToString()]
        self.socket.send_multipart(frames if payload is None else frames + [payload])

    def expect(self, kind, body_type):
        """The next message of this kind; others are passed over."""
        while True:
            check(self.socket.poll(WAIT_MS), f"no message of kind {kind} came")
            frames = self.socket.recv_multipart()
            route = af_pb2.Route.FromString(frames[1])
            if route.kind == kind:
                return body_type.FromString(frames[2])
