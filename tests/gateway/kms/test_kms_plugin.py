"""What a KMS plug-in answers, and what is made of it: a real gRPC server at a real socket."""

import asyncio
import socket as stdlib_socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from bench.fake_kms import FakePlugin, serving
from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary_gateway.kms.plugin import KmsError, KmsPlugin

SECRET = b"k" * 32
FOR_NOW = ("UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
FOR_GOOD = ("INVALID_ARGUMENT", "NOT_FOUND", "DATA_LOSS", "OUT_OF_RANGE", "UNIMPLEMENTED")
UNCLEAR = ("UNKNOWN", "INTERNAL", "PERMISSION_DENIED", "UNAUTHENTICATED", "FAILED_PRECONDITION")


async def at_once(_: float) -> None:
    """Waits for nothing between two attempts."""


@pytest.fixture
async def plugin(socket: Path) -> AsyncIterator[KmsPlugin]:
    client = KmsPlugin(socket, 5.0, pause=at_once)
    yield client
    await client.close()


async def failure(call: Any) -> KmsError:
    with pytest.raises(KmsError) as caught:
        await call
    return caught.value


async def test_there_and_back(served: FakePlugin, plugin: KmsPlugin) -> None:
    """What was encrypted is given back, also after a rotation; what was altered is not."""
    assert await plugin.status() == served.kms.key_id
    wrapped = await plugin.encrypt(SECRET)
    assert wrapped.key_id == served.kms.key_id
    assert SECRET not in wrapped.SerializeToString()
    assert served.kms.rotate() == await plugin.status()
    assert await plugin.decrypt(wrapped) == SECRET
    for altered in (
        WrappedKey(ciphertext=b"x" * 60, key_id=wrapped.key_id, annotations=wrapped.annotations),
        WrappedKey(ciphertext=wrapped.ciphertext, key_id="other", annotations=wrapped.annotations),
        WrappedKey(ciphertext=wrapped.ciphertext, key_id=wrapped.key_id),
    ):
        assert (await failure(plugin.decrypt(altered))).answered


@pytest.mark.parametrize(
    ("wrong", "words", "lasting"),
    [
        ({"version": "v1beta1"}, "speaks version 'v1beta1' of the API, and v2 is needed", True),
        ({"version": ""}, "speaks version ''", True),
        ({"healthz": "no route to the KMS"}, "says of its health 'no route to the KMS'", False),
        ({"healthz": ""}, "says of its health ''", False),
        ({"told_key_id": ""}, "Status gave a key_id of 0 bytes; it can have 1 to 1024", True),
        ({"told_key_id": "k" * 1025}, "Status gave a key_id of 1025 bytes", True),
    ],
    ids=["version", "no version", "unwell", "health not told", "no key", "long key"],
)
async def test_a_status_that_will_not_do(
    served: FakePlugin, plugin: KmsPlugin, wrong: dict[str, str], words: str, lasting: bool
) -> None:
    """The message names the socket, and what is wrong."""
    for name, value in wrong.items():
        setattr(served, name, value)
    error = await failure(plugin.status())
    assert words in str(error)
    assert str(plugin.socket) in str(error)
    assert (error.answered, error.lasting) == (True, lasting)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ciphertext": b""}, "a ciphertext of 0 bytes"),
        ({"ciphertext": b"x" * 1025}, "a ciphertext of 1025 bytes; it can have 1 to 1024"),
        ({"annotations": {"kms.example": b"x" * 32768}}, "annotations of 32779 bytes"),
        ({"annotations": {f"{n:x}.b": b"" for n in range(6000)}}, "all in all, an answer of "),
        ({"annotations": {"version": b"1"}}, "'version', which is no domain name"),
        ({"annotations": {"Kms.Example": b"1"}}, "no domain name"),
        ({"annotations": {"kms..example": b"1"}}, "no domain name"),
    ],
    ids=["empty", "long", "much beside it", "many beside it", "one label", "capitals", "empty label"],
)
async def test_an_encryption_that_will_not_do(
    served: FakePlugin, plugin: KmsPlugin, wrong: dict[str, Any], words: str
) -> None:
    """Kubernetes' limits are held: what it would not keep, no item carries."""
    for name, value in wrong.items():
        setattr(served, name, value)
    error = await failure(plugin.encrypt(SECRET))
    assert words in str(error)
    assert error.lasting


@pytest.mark.parametrize("most", [{"ciphertext": b"x" * 1024}, {"annotations": {"k.example": b"x" * 32759}}])
async def test_as_much_as_kubernetes_takes(
    served: FakePlugin, plugin: KmsPlugin, most: dict[str, Any]
) -> None:
    """A plug-in that keeps to the limits is served to the last byte."""
    for name, value in most.items():
        setattr(served, name, value)
    assert (await plugin.encrypt(SECRET)).ByteSize() > 1024


@pytest.mark.parametrize("name", [*FOR_NOW, *FOR_GOOD, *UNCLEAR])
async def test_failures(served: FakePlugin, plugin: KmsPlugin, name: str) -> None:
    """Told apart: not reached, refused for good, and neither. Only one who was not reached is asked again."""
    served.failing["Encrypt"] = grpc.StatusCode[name]
    error = await failure(plugin.encrypt(SECRET))
    assert (error.answered, error.lasting) == (name not in FOR_NOW, name in FOR_GOOD)
    assert served.asked["Encrypt"] == (3 if name == "UNAVAILABLE" else 1)


async def test_too_slow(served: FakePlugin, socket: Path) -> None:
    """The deadline ends it, and nobody asks it twice at once."""
    served.slow.add("Status")
    plugin = KmsPlugin(socket, 0.1)
    error = await failure(plugin.status())
    assert (error.answered, error.lasting, served.asked["Status"]) == (False, False, 1)
    await plugin.close()


async def test_gone_and_back(fake: FakePlugin, socket: Path) -> None:
    """A plug-in that is not there is not reached; once it is, the same client reaches it, again and again."""
    plugin = KmsPlugin(socket, 5.0)
    for _ in range(2):
        assert not (await failure(plugin.status())).answered
        async with serving(fake, socket):
            for _ in range(50):
                try:
                    assert await plugin.status() == fake.kms.key_id
                    break
                except KmsError:
                    await asyncio.sleep(0.05)
            else:
                raise AssertionError("it was not found again")
    await plugin.close()


async def test_a_path_is_no_url(fake: FakePlugin, socket: Path) -> None:
    """Whatever stands in the name of a file."""
    plugin = KmsPlugin(socket.with_name("kms 100%41?#é.sock"), 5.0)
    async with serving(fake, plugin.socket):
        assert await plugin.status() == fake.kms.key_id
    await plugin.close()


async def test_a_plugin_of_another_api(socket: Path, plugin: KmsPlugin) -> None:
    """One that serves KMS v1 alone is told from one that is down."""
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    error = await failure(plugin.status())
    assert "does not serve v2.KeyManagementService/Status: take a plug-in for KMS v2" in str(error)
    assert error.lasting
    await server.stop(0)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """The kernel would cut it off."""
    with pytest.raises(ValueError, match=r"evidence\.kms\.socket: .* bytes long, .* shorter name"):
        KmsPlugin(tmp_path / ("x" * 108), 1.0)


async def test_how_it_calls_the_host(socket: Path, plugin: KmsPlugin) -> None:
    """`localhost`, as Kubernetes does: servers in Rust and C# refuse a path in place of a host's name."""

    def listen() -> bytes:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(bytes.fromhex("000000040000000000"))  # SETTINGS, which a client waits for
            read = b""
            while b"KeyManagementService" not in read:
                read += connection.recv(65536)
        return read

    with stdlib_socket.socket(stdlib_socket.AF_UNIX) as listener:
        listener.settimeout(10)
        listener.bind(str(socket))
        listener.listen()
        asking = asyncio.create_task(failure(plugin.status()))
        read = await asyncio.to_thread(listen)
    assert b"localhost" in read
    assert bytes(socket.parent) not in read
    await asking
