"""The GPU benchmark, with a tiny model on a CPU: all arms do the same work, the floor is the cited one."""

import argparse
import sys

import pytest
import torch
from torch import nn

from bench.gpu import __main__ as command
from bench.gpu import floor
from bench.gpu.arms import Answer, GpuArm
from bench.gpu.configuration import configuration, random_model
from bench.gpu.floor import Check
from bench.gpu.fp8 import EightBitLinear
from bench.gpu.work import PROMPT, QUESTIONS, WRITTEN, Work

CPU = torch.device("cpu")
WRITE = 5
BATCHES = [2, 3]
OPTIONS = argparse.Namespace(device="cpu", tiny=True, sides=[64], batches=BATCHES, written=WRITE, repeats=1)


@pytest.fixture(scope="module")
def work() -> Work:
    return Work(configuration(tiny=True), CPU, torch.float32, 64, WRITE)


@pytest.fixture(scope="module")
def found(work: Work) -> dict[str, Answer]:
    """Each arm's answer to a batch with descriptions, on a model of its own with the same weights."""
    answers = {}
    for name, make in command.arms(BATCHES):
        arm = make(random_model(work.config, CPU, torch.float32, command.SEED), work)
        if not arm.cuda:
            answers[name] = arm.run(description=True)
    return answers


def test_every_arm_but_the_captured_runs_on_a_cpu(found: dict[str, Answer]) -> None:
    """Graphs and what is measured with them say that they need CUDA."""
    everything = {name for name, _ in command.arms(BATCHES)}
    assert everything - set(found) == {"runner + graphs", command.FP8}


def test_all_arms_give_the_same_answers(found: dict[str, Answer]) -> None:
    """The margins of the first image and its description, token for token: nobody saves work by cheating."""
    reference = found["article"]
    assert reference.written is not None
    assert reference.written.shape == (1, WRITE)
    for name, answer in found.items():
        assert answer.margins.shape[1] == QUESTIONS
        torch.testing.assert_close(answer.margins[:1], reference.margins, atol=1e-4, rtol=0, msg=name)
        assert answer.written is not None
        assert answer.written[0].tolist() == reference.written[0].tolist(), name


def test_images_of_a_batch_are_told_apart(found: dict[str, Answer]) -> None:
    """A batch's second image gets its own answers, the same in every batched arm."""
    second = found["batch 2"].margins[1]
    assert not torch.allclose(second, found["article"].margins[0], atol=1e-5)
    for name in ("batch 3", "static cache + compile", "tree", "runner"):
        torch.testing.assert_close(found[name].margins[1], second, atol=1e-4, rtol=0, msg=name)


def test_the_tiny_run_measures_every_arm() -> None:
    """Both kinds of check for each arm, with rates, stages where they can be told apart, or the reason."""
    rows = list(command.Benchmark(OPTIONS).rows())
    missing = {row["arm"]: row["not measured"] for row in rows if "not measured" in row}
    assert missing == {"runner + graphs": "needs CUDA", command.FP8: "needs CUDA"}
    measured = [row for row in rows if "images/s" in row]
    assert len(measured) == 2 * (len(command.arms(BATCHES)) - len(missing))
    assert all(row["images/s"] > 0 for row in measured)
    assert all(row["of the floor %"] is None for row in measured)  # a CPU's speeds are not known
    runner = next(row for row in measured if (row["arm"], row["wanted"]) == ("runner", "description"))
    assert runner["ViT ms"] > 0
    assert runner["decode ms"] > 0
    report = command.Benchmark(OPTIONS).report(rows)
    assert (report.name, list(report.bars)) == ("gpu", [])


class _Half:
    """An arm that does not do the whole work."""

    name, batch, cuda = "half", 2, ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(torch.zeros(2, QUESTIONS), torch.zeros(2, WRITE - 1)),
        Answer(torch.zeros(2, QUESTIONS), None),
        Answer(torch.zeros(1, QUESTIONS), torch.zeros(2, WRITE)),
        Answer(torch.full((2, QUESTIONS), float("nan")), torch.zeros(2, WRITE)),
    ],
    ids=["too few tokens", "no description", "an image missing", "no numbers"],
)
def test_an_arm_that_does_less_is_found_out(answer: Answer, work: Work) -> None:
    """Its figure would be worthless, so that there is none."""
    arm: GpuArm = _Half()  # type: ignore[assignment]
    with pytest.raises(ArithmeticError, match="half"):
        command.check_answer(answer, arm, work, description=True)


def check_of(side: int, written: int) -> Check:
    """Return a check as the table of floors counts it: 24 tokens of text, three questions of 40."""
    visual = (side // 32) ** 2
    return Check(visual, 4 * visual, 24, 3 * PROMPT, 0, written)


@pytest.mark.parametrize(
    ("side", "batch", "written", "milliseconds"),
    [
        (1024, 1, 0, 28.3),
        (768, 1, 0, 16.3),
        (512, 1, 0, 8.4),
        (1024, 1, WRITTEN, 313.0),
        (768, 1, WRITTEN, 300.0),
        (512, 1, WRITTEN, 291.0),
        (1024, 64, WRITTEN, 35.9),
        (768, 64, WRITTEN, 22.6),
        (512, 64, WRITTEN, 13.8),
        (1024, 128, WRITTEN, 33.7),
        (512, 128, WRITTEN, 11.6),
    ],
)
def test_the_floor_is_the_published_one(side: int, batch: int, written: int, milliseconds: float) -> None:
    """Operations and bytes of the 8B configuration reproduce the table for one H200 within 3%."""
    device = floor.device_of("NVIDIA H200")
    assert device is not None
    seconds = floor.seconds(configuration(tiny=False), check_of(side, written), batch, device)
    assert 1e3 * seconds == pytest.approx(milliseconds, rel=0.03)


def test_the_configuration_is_the_8b_ones() -> None:
    """Parameters of the text tower with embeddings and head, as published: 8.2 billion."""
    config = configuration(tiny=False)
    both = 2 * config.text_config.vocab_size * config.text_config.hidden_size
    assert floor.text_weights(config) + both == pytest.approx(8.19e9, rel=0.01)


def test_a_device_without_measured_speeds_has_no_floor() -> None:
    """Nothing is made up."""
    assert floor.device_of("Some other card") is None


def test_eight_bits_come_close() -> None:
    """A quantised projection gives what the stock one gives, within what eight bits can."""
    torch.manual_seed(0)
    stock = nn.Linear(64, 32, bias=False, dtype=torch.bfloat16)
    states = torch.randn(2, 5, 64, dtype=torch.bfloat16)
    try:
        got = EightBitLinear(stock)(states)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"torch multiplies no eight-bit matrices on this CPU: {str(error).splitlines()[0]}")
    wanted = stock(states)
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() < 0.1 * wanted.abs().max()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and an exit status that is neither met nor missed."""
    monkeypatch.setattr(sys, "argv", ["bench-gpu"])
    assert command.main() == 2
    assert capsys.readouterr().out == (
        "bench-gpu needs a CUDA device, and this machine has none: nothing was measured.\n"
    )
