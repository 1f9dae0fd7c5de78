"""The asyncio client against a real server over mutual TLS."""

import asyncio
import hashlib

import pytest

from client.scripted_gateway import CANONICAL, Credentials, Script, serving, verdict
from ostiary.client import AsyncClient, OstiaryError, Profile, Reason, RetryPolicy, Verdict
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse

MIB = 1 << 20
QUICK = RetryPolicy(attempts=4, first=0.01)
ALLOW = verdict(VERDICT_ALLOW)


async def test_small_request_goes_by_check(script: Script, profile: Profile) -> None:
    """One message carries images, listing and a key; the answer is typed."""
    async with AsyncClient.of(profile) as client:
        result = await client.check(b"image", title="Cup", seller="s1")
    assert result.verdict is Verdict.ALLOW
    assert result.proto == ALLOW
    assert script.requests[0].images[0].data == b"image"
    assert script.requests[0].listing.title == "Cup"
    assert script.requests[0].idempotency_key
    assert script.uploads == []


async def test_large_request_goes_by_stream(script: Script, profile: Profile) -> None:
    """Above 4 MiB the header goes first, and after the go the images in chunks of at most 1 MiB."""
    images = [bytes(5 * MIB + 1), b"small"]
    async with AsyncClient.of(profile) as client:
        result = await client.check(images)
    assert result.verdict is Verdict.ALLOW
    assert [len(piece) for piece in script.uploads[0]] == [MIB] * 5 + [1, 5]
    assert b"".join(script.uploads[0]) == b"".join(images)


async def test_answer_without_go(script: Script, profile: Profile) -> None:
    """A server that can decide from the header gets no chunks."""
    script.go = False
    async with AsyncClient.of(profile) as client:
        assert (await client.check(bytes(5 * MIB))).verdict is Verdict.ALLOW
    assert script.uploads == []


@pytest.mark.parametrize("go", [True, False], ids=["after the upload", "before the go"])
async def test_refused_stream(script: Script, profile: Profile, go: bool) -> None:
    """A refusal of a stream arrives with its reason, whenever it is said."""
    script.go = go
    script.answers = [OstiaryError(Reason.TOO_LARGE, "more than 25 MB")]
    async with AsyncClient.of(profile) as client:
        with pytest.raises(OstiaryError, match="more than 25 MB") as caught:
            await client.check(bytes(5 * MIB))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("size", [5, 5 * MIB], ids=["Check", "CheckStream"])
async def test_passing_trouble(script: Script, profile: Profile, size: int) -> None:
    """Overload and outages are ridden out, all attempts with the same key."""
    trouble = [OstiaryError(Reason.OVERLOADED, "busy"), OstiaryError(Reason.STORE_UNAVAILABLE, "disk")]
    script.answers = [*trouble, ALLOW]
    async with AsyncClient.of(profile, retry=QUICK) as client:
        assert (await client.check(bytes(size))).verdict is Verdict.ALLOW
    assert len(script.requests) == 3
    assert len({request.idempotency_key for request in script.requests}) == 1


async def test_lasting_trouble(script: Script, profile: Profile) -> None:
    """After its attempts the last error is told."""
    script.answers = [OstiaryError(Reason.OVERLOADED, "busy")]
    async with AsyncClient.of(profile, retry=QUICK) as client:
        with pytest.raises(OstiaryError, match="busy") as caught:
            await client.check(b"image")
    assert caught.value.reason is Reason.OVERLOADED
    assert len(script.requests) == 4


async def test_no_key_no_retry(script: Script, profile: Profile) -> None:
    """Without an idempotency key a second attempt might judge twice: there is none."""
    script.answers = [OstiaryError(Reason.OVERLOADED, "busy"), ALLOW]
    async with AsyncClient.of(profile, retry=QUICK) as client:
        with pytest.raises(OstiaryError):
            await client.check(b"image", idempotency_key="")
    assert len(script.requests) == 1


async def test_advice_beyond_the_deadline(script: Script, profile: Profile) -> None:
    """Where the server's advice leads past the deadline, the error is told at once."""
    script.answers = [OstiaryError(Reason.RATE_LIMITED, "later", retry_after=60.0)]
    async with AsyncClient.of(profile) as client, asyncio.timeout(5):
        with pytest.raises(OstiaryError) as caught:
            await client.check(b"image", timeout=10.0)
    assert (caught.value.reason, caught.value.retry_after) == (Reason.RATE_LIMITED, 60.0)


async def test_unauthorised(script: Script, profile: Profile, credentials: Credentials) -> None:
    """A certificate of another role is denied once, with the server's words."""
    auditor = credentials.issue_client("auditor", "/tenant/demo/role/auditor")
    async with AsyncClient.of(credentials.profile(profile.endpoint, auditor)) as client:
        with pytest.raises(OstiaryError, match="may not call") as caught:
            await client.check(b"image")
    assert caught.value.reason is Reason.PERMISSION_DENIED
    assert script.requests == []


async def test_foreign_root(
    profile: Profile, credentials: Credentials, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server of another authority is not talked to, and the message says that it is the certificate."""
    foreign = Credentials.make(tmp_path_factory.mktemp("foreign"))
    async with AsyncClient.of(credentials.profile(profile.endpoint, foreign.root / "client")) as client:
        with pytest.raises(OstiaryError, match="certificate is not trusted") as caught:
            await client.check(b"image")
    assert caught.value.reason is Reason.SERVER_CERTIFICATE


async def test_foreign_client(
    profile: Profile, credentials: Credentials, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A client of another authority is refused, and the message says that it was its certificate."""
    foreign = Credentials.make(tmp_path_factory.mktemp("foreign"))
    stranger = foreign.root / "client"
    both = tmp_path_factory.mktemp("both") / "ca.pem"
    both.write_bytes((stranger / "ca.pem").read_bytes() + (credentials.root / "client/ca.pem").read_bytes())
    async with AsyncClient.of(credentials.profile(profile.endpoint, stranger, both)) as client:
        with pytest.raises(OstiaryError, match="certificate") as caught:
            await client.check(b"image")
    assert caught.value.reason is Reason.CLIENT_CERTIFICATE


async def test_missing_certificate(profile: Profile, credentials: Credentials) -> None:
    """Certificate files that are not there are an error in words, with their names."""
    async with AsyncClient.of(credentials.profile(profile.endpoint, credentials.root / "nobody")) as client:
        with pytest.raises(OstiaryError, match="nobody") as caught:
            await client.check(b"image")
    assert caught.value.reason is Reason.CLIENT_CERTIFICATE


async def test_rotation(script: Script, profile: Profile, credentials: Credentials) -> None:
    """A new certificate on disk is used by the same client, without a failed call."""
    folder = credentials.issue_client("rotating")
    async with AsyncClient.of(credentials.profile(profile.endpoint, folder)) as client:
        await client.check(b"image")
        serial = credentials.authority.renew(folder).serial_number
        async with asyncio.timeout(20):
            while serial not in script.peers:
                assert (await client.check(b"image")).verdict is Verdict.ALLOW
    assert len(set(script.peers)) == 2


async def test_server_comes_back(script: Script, profile: Profile, credentials: Credentials) -> None:
    """A check that begins while the server is away succeeds once it is back."""
    retry = RetryPolicy(attempts=50, first=0.05, longest=0.2)
    async with serving(Script([ALLOW]), credentials) as server:
        address = server.address
    async with AsyncClient.of(credentials.profile(address), retry=retry) as client:
        waiting = asyncio.create_task(client.check(b"image", timeout=20))
        async with serving(script, credentials, address):
            assert (await waiting).verdict is Verdict.ALLOW


async def test_canonical_image(profile: Profile) -> None:
    """The canonical bytes arrive whole and are those that were judged."""
    async with AsyncClient.of(profile) as client:
        result = await client.check(b"image")
        data = await client.canonical_image(result, 0)
        assert await client.canonical_image(result.check_id, 0) == data
    assert hashlib.sha256(data).digest() == result.images[0].sha256
    assert data == CANONICAL


async def test_damaged_canonical_image(script: Script, profile: Profile) -> None:
    """Bytes that differ in one place from what the hash says are never handed out."""
    script.canonical = CANONICAL[:-1] + b"!"
    async with AsyncClient.of(profile) as client:
        with pytest.raises(OstiaryError, match="SHA-256"):
            await client.canonical_image("check-1", 0)


async def test_another_canonical_image(script: Script, profile: Profile) -> None:
    """Bytes that are whole but not the ones judged are not handed out either."""
    other = verdict(VERDICT_ALLOW)
    other.images[0].sha256 = bytes(32)
    script.answers = [other]
    async with AsyncClient.of(profile) as client:
        result = await client.check(b"image")
        with pytest.raises(OstiaryError, match="not the one that was judged"):
            await client.canonical_image(result, 0)


async def test_unknown_verdict(script: Script, profile: Profile) -> None:
    """A verdict that this version does not know is an error, and never an ALLOW."""
    script.answers = [CheckResponse(check_id="x", verdict=77)]  # type: ignore[arg-type]
    async with AsyncClient.of(profile) as client:
        with pytest.raises(OstiaryError, match="newer client"):
            await client.check(b"image")


async def test_many_at_once(script: Script, profile: Profile) -> None:
    """One client carries many checks at the same time, each with its own answer."""
    script.answers = [verdict(value) for value in (VERDICT_ALLOW, VERDICT_BLOCK) for _ in range(20)]
    script.answers.append(verdict(VERDICT_HOLD))
    async with AsyncClient.of(profile) as client:
        results = await asyncio.gather(*(client.check(b"image") for _ in range(40)))
    counts = [sum(result.verdict is value for result in results) for value in (Verdict.ALLOW, Verdict.BLOCK)]
    assert counts == [20, 20]


async def test_closed(profile: Profile) -> None:
    """A client that is closed says so."""
    client = AsyncClient.of(profile)
    await client.check_request(CheckRequest(idempotency_key="k"))
    await client.close()
    with pytest.raises(OstiaryError, match="closed"):
        await client.check(b"image")
