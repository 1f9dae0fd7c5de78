"""Detectors by name, from a bundle's manifest."""

import socket

import pytest

from ostiary_moderation.detector import DetectorError, load_detectors


def test_an_unknown_detector_is_refused() -> None:
    """The message names those that are installed."""
    with pytest.raises(DetectorError, match=r"detector sonar: not installed; there are .*barcode.*ocr"):
        load_detectors([("sonar", {})], threads=1)


@pytest.mark.parametrize(("name", "key"), [("ocr", "max_sides"), ("barcode", "colour"), ("logo", "score")])
def test_unknown_settings_are_refused(name: str, key: str) -> None:
    """A misspelt setting does not go unnoticed."""
    with pytest.raises(DetectorError, match=f"detector {name}: (.|\n)*{key}"):
        load_detectors([(name, {key: 1})], threads=1)


def test_none_wanted_none_loaded() -> None:
    """A bundle without detectors is fine."""
    assert load_detectors([], threads=1) == []


def test_ocr_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models come from the installed package: loading opens no connection."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (detector,) = load_detectors([("ocr", {"min_side": 64, "max_side": 320})], threads=1)
    assert "PP-OCR" in detector.version
