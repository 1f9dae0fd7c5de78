"""Checkpoints by c2sp.org/tlog-checkpoint."""

import pytest

from ostiary.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ostiary.tlog.note import NoteError, SignerKey, decode_base64

# The example of c2sp.org/tlog-checkpoint.
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
KEY = SignerKey.generate("example.com/behind-the-sofa")


def test_published_text() -> None:
    """The specification's example is read, and written as it was."""
    checkpoint = Checkpoint.parse_text(TEXT)
    root = decode_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert checkpoint == Checkpoint("example.com/behind-the-sofa", 20852163, root)
    assert checkpoint.text() == TEXT


def test_round_trip() -> None:
    """What a log signs opens under its key."""
    checkpoint = Checkpoint.parse_text(TEXT)
    assert open_checkpoint(sign_checkpoint(checkpoint, KEY), KEY.verifier) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        TEXT + "extension\n",
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "२"),
        TEXT.replace("20852163", "1" * 20),
        TEXT.replace("q2I=", "q2J="),
        TEXT.replace("CsUYapGGPo4d", ""),
        TEXT.removesuffix("\n"),
        "\n" + TEXT.partition("\n")[2],
    ],
    ids=["extension", "zero", "minus", "digits", "huge", "loose", "short", "no-newline", "no-origin"],
)
def test_malformed_text(text: str) -> None:
    """Nothing but the three lines, each in its one spelling, is a checkpoint, even when signed."""
    with pytest.raises(NoteError):
        open_checkpoint(KEY.sign(text), KEY.verifier)


def test_another_origin() -> None:
    """A key signs for the log that it is named after, and no other."""
    stranger = SignerKey("example.com/other", KEY.private)
    note = stranger.sign(TEXT)
    with pytest.raises(NoteError, match=r"is of .*behind-the-sofa.*, not of"):
        open_checkpoint(note, stranger.verifier)


def test_another_key() -> None:
    """The name alone does not make a signature."""
    impostor = SignerKey.generate(KEY.name)
    with pytest.raises(NoteError, match="not signed exactly once"):
        open_checkpoint(impostor.sign(TEXT), KEY.verifier)


def test_strange_signatures() -> None:
    """A line that nobody here can check could be altered unseen, so there is none."""
    line = SignerKey.generate("witness.example").sign(TEXT).splitlines(keepends=True)[-1]
    with pytest.raises(NoteError, match="nobody here can verify"):
        open_checkpoint(KEY.sign(TEXT) + line, KEY.verifier)
