"""A profile is read, and what is wrong with one is said."""

from pathlib import Path

import pytest

from ostiary.client import OstiaryError, Profile, Reason

GOOD = (
    "endpoint: 127.0.0.1:8443\nserver_name: gateway.ostiary.local\nca: ca.pem\ncert: cert.pem\nkey: key.pem\n"
)


@pytest.mark.parametrize("given", [".", "profile.yaml"], ids=["folder", "file"])
def test_read(tmp_path: Path, given: str) -> None:
    """A folder stands for its profile.yaml, and paths are relative to the file."""
    (tmp_path / "profile.yaml").write_text(GOOD)
    profile = Profile.load(tmp_path / given)
    assert profile.endpoint == "127.0.0.1:8443"
    assert profile.server_name == "gateway.ostiary.local"
    assert [path.resolve() for path in (profile.ca, profile.cert, profile.key)] == [
        (tmp_path / name).resolve() for name in ("ca.pem", "cert.pem", "key.pem")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("endpoint: [", "not YAML"),
        ("- a", "keys and values"),
        (GOOD.replace("key: key.pem\n", ""), "key: field required"),
        (GOOD + "colour: red\n", "colour: there is no such key"),
        (GOOD.replace("127.0.0.1:8443", "[1]"), "endpoint: input should be a valid string"),
    ],
    ids=["no YAML", "a list", "a field missing", "an unknown field", "not text"],
)
def test_wrong(tmp_path: Path, text: str, words: str) -> None:
    """The message names the file and the field, and says what writes profiles."""
    (tmp_path / "profile.yaml").write_text(text)
    with pytest.raises(OstiaryError, match=words) as caught:
        Profile.load(tmp_path)
    assert str(tmp_path / "profile.yaml") in str(caught.value)
    assert "ostiary up" in str(caught.value)
    assert caught.value.reason is Reason.INVALID_FIELD


def test_absent(tmp_path: Path) -> None:
    """A file that is not there is an error in words as well."""
    with pytest.raises(OstiaryError, match="cannot be read"):
        Profile.load(tmp_path / "nowhere")
