"""A connection to AgentFactory's broker in Python: enough of docs/protocol.md to ask the coordinator
for things and to move large values. Needs pyzmq, msgpack, protobuf, and code made from the schema:

    protoc -I proto --python_out=examples/clients proto/af.proto
"""
import hashlib
import itertools
import os
import time
import uuid

import msgpack
import zmq

import af_pb2 as af

INLINE_BYTES = 64 << 10  # larger values travel as blobs,
CHUNK_BYTES = 1 << 20    # in pieces of this size
PARAMETERS_BYTES = (4 << 20) - 4096  # what a message holds beside its other frames
KEEPALIVE_S = 4          # the broker forgets whom it has not heard for 15 s


class Failed(Exception):
    """The coordinator's refusal: its error's name, what was wrong, and what to do."""

    def __init__(self, reply):
        super().__init__(f"{reply.error}: {reply.what}" + (f"; {reply.fix}" if reply.fix else ""))
        self.name = reply.error


def default_endpoint():
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    directory = os.environ.get("AGENTFACTORY_DIR") or os.path.join(state, "agentfactory")
    return f"ipc://{directory}/run/broker.sock"


class Connection:
    """One DEALER socket, whose routing id is the program's address. Belongs to one thread."""

    def __init__(self, endpoint, address=None, program="python"):
        self.address = address or f"client:{uuid.uuid4()}"
        self.program = program
        self.correlations = itertools.count(1)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, self.address.encode())
        self.socket.setsockopt(zmq.LINGER, 200)
        self.socket.connect(endpoint)
        self.registered = False
        self.register()

    def close(self):
        self.send(af.KIND_UNREGISTER, "broker")
        self.socket.close()

    def register(self):
        self.registered = False
        self.send(af.KIND_REGISTER, "broker", af.Register(major=1, minor=0, program=self.program))

    def send(self, kind, to, body=None, payload=None, correlation=0):
        route = af.Route(kind=kind, to=to, correlation=correlation)
        frames = [b"AF01", route.SerializeToString(), body.SerializeToString() if body else b""]
        self.socket.send_multipart(frames + ([payload] if payload is not None else []))
        self.said = time.monotonic()

    def receive(self, seconds):
        """The next message for the program, (route, body, payload), or None when none came in time.
        What the broker wants of everybody is done here."""
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if not self.registered and now - self.said > 0.5:
                self.register()
            elif now - self.said > KEEPALIVE_S:
                self.send(af.KIND_PING, "broker")
            wait = max(0.0, min(until - now, 0.5))
            if not self.socket.poll(1000 * wait):
                if time.monotonic() >= until:
                    return None
                continue
            _, head, body, *payload = self.socket.recv_multipart()
            route = af.Route.FromString(head)
            if route.kind == af.KIND_WHO:  # the broker has restarted
                self.register()
            elif route.kind == af.KIND_REGISTERED:
                refused = af.Registered.FromString(body).refused
                if refused:
                    raise ConnectionRefusedError(refused)
                self.registered = True
            elif route.kind == af.KIND_PING:
                pong = af.Route(kind=af.KIND_PONG, to=getattr(route, "from"),
                                correlation=route.correlation).SerializeToString()
                self.socket.send_multipart([b"AF01", pong, body, *payload])
            elif route.kind != af.KIND_PONG:
                return route, body, payload[0] if payload else b""

    def ask(self, kind, body, payload=None, seconds=30):
        """Sends to the coordinator until the answer has come: a message or an answer may be lost, and
        the coordinator may be starting. So what is asked must be harmless to ask twice."""
        correlation = next(self.correlations)
        until = time.monotonic() + seconds
        pause = 0.5
        while time.monotonic() < until:
            self.send(kind, "coordinator", body, payload, correlation)
            again = min(until, time.monotonic() + pause)
            pause = min(2 * pause, 8)
            while time.monotonic() < again:
                message = self.receive(again - time.monotonic())
                if message and message[0].correlation == correlation:
                    if message[0].kind != af.KIND_UNDELIVERABLE:
                        return message[1], message[2]
                    again = min(again, time.monotonic() + 0.1)  # nobody there yet
        raise TimeoutError(f"the coordinator has not answered within {seconds} s")

    def call(self, method, params, seconds=30):
        """A method of section 7 with its result. The key makes sure that it is carried out once."""
        request = af.Request(method=method, idempotency_key=uuid.uuid4().hex)
        packed = msgpack.packb(params)
        if len(packed) > PARAMETERS_BYTES:  # no message holds them: section 6
            packed = msgpack.packb({"$blob": self.put_blob(packed).hex(), "size": len(packed)})
        body, payload = self.ask(af.KIND_REQUEST, request, packed, seconds)
        reply = af.Reply.FromString(body)
        if reply.error:
            raise Failed(reply)
        return self.resolve(msgpack.unpackb(payload))

    # --- large values (section 8) ---

    def get_blob(self, digest, size):
        data = b""
        while len(data) < size:
            body, payload = self.ask(af.KIND_BLOB_GET, af.BlobGet(hash=digest, offset=len(data)))
            error = af.BlobChunk.FromString(body).error
            if error:
                raise LookupError(f"blob {digest.hex()}: {error}")
            data += payload
        if hashlib.blake2b(data, digest_size=32).digest() != digest:
            raise ValueError(f"blob {digest.hex()} does not fit its name")
        return data

    def put_blob(self, data):
        digest = hashlib.blake2b(data, digest_size=32).digest()
        offset, complete = 0, False
        while not complete:
            put = af.BlobPut(hash=digest, size_bytes=len(data), offset=offset)
            body, _ = self.ask(af.KIND_BLOB_PUT, put, data[offset:offset + CHUNK_BYTES])
            stored = af.BlobStored.FromString(body)
            if stored.error:
                raise ValueError(f"{stored.error}: {stored.what}")
            offset, complete = stored.offset, stored.complete
        return digest

    def to_datum(self, value):
        data = msgpack.packb(value)
        if len(data) <= INLINE_BYTES:
            return af.Datum(inline_bytes=data)
        return af.Datum(hash=self.put_blob(data), size_bytes=len(data))

    def from_datum(self, datum):
        if datum.HasField("hash"):
            return msgpack.unpackb(self.get_blob(datum.hash, datum.size_bytes))
        return msgpack.unpackb(datum.inline_bytes) if datum.inline_bytes else None

    def resolve(self, document):
        """A document with its {"$blob": …} replaced by the values themselves."""
        if isinstance(document, dict) and "$blob" in document:
            return msgpack.unpackb(self.get_blob(bytes.fromhex(document["$blob"]),
                                                 document["size"]))
        return document
