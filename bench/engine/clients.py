"""How a load generator asks each kind of server.

One check is one image; `description` says whether more is wanted of it than answers to the policy questions.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import grpc

from bench.engine.load import Outcome
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferRequest
from ostiary.v1.inference_pb2_grpc import InferenceServiceStub
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import Reason, from_rpc_error

if TYPE_CHECKING:
    from ostiary.v1.inference_pb2_grpc import InferenceServiceAsyncStub  # there for the type checker only

# Longer than any check is waited for: a load generator gives up by its own clock.
_SECONDS = 300.0
_REFUSED = (429, 503)
_SHED = (Reason.OVERLOADED, Reason.RATE_LIMITED, Reason.UNAVAILABLE)


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    `answers`: yes (True) or no to each question, None for neither. `margins`: logit(yes) - logit(no) of each,
    where the server gives them. `batch`: checks that it answered together, where it says so.
    """

    outcome: Outcome
    answers: tuple[bool | None, ...] = ()
    description: str | None = None
    margins: tuple[float, ...] = ()
    batch: int | None = None
    detail: str = ""


class Client(Protocol):
    """Asks a server. May be called many times at once."""

    async def ask(self, image: bytes, description: bool, margins: bool = False) -> Reply:
        """Send one check and wait for its answer. Never raises for what the server does."""
        ...


OpenClient = Callable[[int], AbstractAsyncContextManager[Client]]
Encode = Callable[[bytes, bool, bool], tuple[str, dict[str, Any]]]
"""Image, description and margins wanted → path, and what the HTTP client takes beside it."""


def raw(image: bytes, description: bool, margins: bool) -> tuple[str, dict[str, Any]]:
    """The image as the body."""
    wants = [name for name, wanted in (("description=1", description), ("margins=1", margins)) if wanted]
    return f"/?{'&'.join(wants)}", {"data": image}


def as_json(image: bytes, description: bool, margins: bool) -> tuple[str, dict[str, Any]]:
    """The image as base64 in JSON."""
    body = {"image": base64.b64encode(image).decode(), "description": description}
    return "/predict", {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def multipart(image: bytes, description: bool, margins: bool) -> tuple[str, dict[str, Any]]:
    """The image as an upload."""
    form = aiohttp.FormData()
    kind = "image/jpeg" if image[:2] == b"\xff\xd8" else "image/png"
    form.add_field("images", image, filename="image", content_type=kind)
    return "/describe" if description else "/flags", {"data": form}


class HttpClient:
    """Asks over HTTP on one pool of connections."""

    def __init__(self, session: aiohttp.ClientSession, base: str, encode: Encode) -> None:
        self._session = session
        self._base = base
        self._encode = encode

    async def ask(self, image: bytes, description: bool, margins: bool = False) -> Reply:
        """See `Client.ask`."""
        path, arguments = self._encode(image, description, margins)
        try:
            async with self._session.post(self._base + path, **arguments) as response:
                if response.status != 200:
                    outcome: Outcome = "shed" if response.status in _REFUSED else "failed"
                    return Reply(outcome, detail=f"{response.status}: {(await response.text())[:200]}")
                return _read(await response.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Reply("failed", detail=repr(error))


def http(encode: Encode) -> OpenClient:
    """Opens HTTP clients for a server on a port."""

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Client]:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield HttpClient(session, f"http://127.0.0.1:{port}", encode)

    return opened


def _read(body: Any) -> Reply:
    found = body[0] if isinstance(body, list) else body
    return Reply(
        "answered",
        answers=tuple(_yes(text) for text in found["answers"]),
        description=found["description"],
        margins=tuple(found.get("margins", ())),
        batch=found["batch"],
    )


def _yes(text: str) -> bool | None:
    return True if text.startswith("Yes") else False if text.startswith("No") else None


class PodClient:
    """Asks a pod as a gateway does: InferenceService.Infer over mutual TLS."""

    def __init__(self, stub: InferenceServiceAsyncStub, questions: Sequence[str]) -> None:
        self._stub = stub
        self._questions = questions
        self._number = itertools.count()

    async def ask(self, image: bytes, description: bool, margins: bool = False) -> Reply:
        """See `Client.ask`. Margins always come."""
        check = CheckRequest(
            images=[Image(data=image)],
            listing=Listing(language="en"),
            wants=Wants(flags=True, description=description),
        )
        request = InferRequest(check_id=f"{next(self._number)}", check_request=check.SerializeToString())
        try:
            answer = await self._stub.Infer(request, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            told = from_rpc_error(error)
            return Reply("shed" if told.reason in _SHED else "failed", detail=str(told))
        seen = answer.observations
        if seen.faults:
            return Reply("failed", detail=seen.faults[0].detail)
        margin = {score.question: score.margin for score in seen.scores}
        found = tuple(margin[question] for question in self._questions)
        text = seen.description.text if seen.HasField("description") else None
        return Reply("answered", tuple(value > 0 for value in found), text, found)


def pod(credentials: Path, server_name: str, questions: Sequence[str]) -> OpenClient:
    """Opens clients for a pod on a port, with the certificate in `credentials`."""

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Client]:
        files = CredentialFiles(credentials / "ca.pem", credentials / "cert.pem", credentials / "key.pem")
        source = CredentialSource(files)
        async with open_channel(f"127.0.0.1:{port}", source, server_name=server_name) as channel:
            yield PodClient(InferenceServiceStub(channel), questions)

    return opened


async def until_answers(client: Client, image: bytes, *, ended: Callable[[], bool], seconds: float) -> Reply:
    """Ask until the server answers.

    Raises:
        TimeoutError: it did not within `seconds`, or ended. The message holds its last words.
    """
    words = "none"
    try:
        async with asyncio.timeout(seconds):
            while True:
                reply = await client.ask(image, description=True)
                if reply.outcome == "answered":
                    return reply
                words = reply.detail
                if ended():
                    raise TimeoutError
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise TimeoutError(f"no answer; its last words: {words}") from error
