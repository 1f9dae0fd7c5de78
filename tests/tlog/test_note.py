"""Signed notes, against the vectors of C2SP and of Go's sumdb/note."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.tlog.note import NoteError, SignerKey, VerifierKey, split_note

# The example of golang.org/x/mod/sumdb/note.
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    f"{TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The note of c2sp.org/signed-note, whose text has an empty line.
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
KEY = SignerKey.parse(SIGNER)


def test_published_keys() -> None:
    """Both keys of the reference example are read and written as they are, and belong together."""
    assert str(VerifierKey.parse(VERIFIER)) == VERIFIER
    assert KEY.secret_text() == SIGNER
    assert str(KEY.verifier) == VERIFIER
    assert str(
        VerifierKey.parse(c2sp := "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    )
    assert str(VerifierKey.parse(c2sp)) == c2sp


def test_published_note() -> None:
    """The reference note verifies, and signing its text gives it byte for byte."""
    assert VerifierKey.parse(VERIFIER).verify(NOTE) == TEXT
    assert KEY.sign(TEXT) == NOTE


def test_text_with_an_empty_line() -> None:
    """The text ends at the last empty line, not at the first."""
    text, signatures = split_note(POEM)
    assert text.endswith("\n\ned è subito sera.\n")
    assert [name for name, _ in signatures] == ["quasimodo.example/salvatore"]


@settings(deadline=None)
@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_any_altered_byte_fails(at: int, mask: int) -> None:
    """A note has one spelling: changing any byte of it in any way breaks it."""
    data = bytearray(NOTE.encode())
    data[at] ^= mask
    with pytest.raises(ValueError):  # noqa: PT011 # NoteError, or bytes that are not UTF-8 any more
        VerifierKey.parse(VERIFIER).verify(data.decode())


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE.removesuffix("\n"),
        NOTE + "\n",
        NOTE + "trailing\n",
        NOTE.replace("— ", "- "),
        NOTE.replace("— PeterNeumann ", "— PeterNeumann  "),
        NOTE.replace("\n\n", "\n\r\n"),
        NOTE + NOTE.splitlines(keepends=True)[-1],
        NOTE.replace("JnAM=", "JnAN="),
        TEXT + "\n" + "— x AAAA\n" * 17,
    ],
    ids=[
        "empty",
        "no-blank-line",
        "no-signature",
        "no-last-newline",
        "blank-at-end",
        "junk-at-end",
        "hyphen",
        "two-spaces",
        "carriage-return",
        "signed-twice",
        "loose-base64",
        "too-many-signatures",
    ],
)
def test_malformed_notes(note: str) -> None:
    """Whatever is not exactly a note that the key signed once is refused."""
    with pytest.raises(NoteError):
        VerifierKey.parse(VERIFIER).verify(note)


def test_signatures_of_others_are_ignored() -> None:
    """c2sp.org/signed-note: a signature of an unknown key says nothing, and does no harm."""
    witness = SignerKey.generate("witness.example")
    line = witness.sign(TEXT).splitlines(keepends=True)[-1]
    assert VerifierKey.parse(VERIFIER).verify(NOTE + line) == TEXT
    with pytest.raises(NoteError, match="not signed exactly once"):
        VerifierKey.parse(VERIFIER).verify(witness.sign(TEXT))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        VERIFIER.replace("c74f20a3", "c74f20a4"),
        VERIFIER.replace("c74f20a3", "C74F20A3"),
        VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        VERIFIER.replace("+ARpc", "+BRpc"),
        VERIFIER[:-4],
        VERIFIER + " ",
    ],
    ids=["empty", "name-only", "other-id", "capitals", "space", "other-type", "short", "trailing-space"],
)
def test_malformed_keys(text: str) -> None:
    """A key that is not whole is refused, not guessed at; so is its private half."""
    with pytest.raises(NoteError):
        VerifierKey.parse(text)
    with pytest.raises(NoteError):
        SignerKey.parse("PRIVATE+KEY+" + text)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\u2003b"], ids=["empty", "space", "plus", "newline", "em"]
)
def test_names(name: str) -> None:
    """Key names follow c2sp.org/signed-note."""
    with pytest.raises(NoteError, match="cannot name a key"):
        SignerKey.generate(name)
