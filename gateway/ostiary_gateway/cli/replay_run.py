"""Judges the parts of a record by a candidate, on several processes where there are."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ostiary.v1.config_pb2 import ModerationPolicy
from ostiary_gateway import brand_source, list_source
from ostiary_gateway.brands.in_force import Brands
from ostiary_gateway.cli.replay_sources import Part
from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.json_mapping import parse_message
from ostiary_gateway.policy.in_force import PolicyInForce, put_in_force
from ostiary_gateway.rejudging import FlipTally, Rejudge
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.pack import RulePack


@dataclass(frozen=True)
class PolicyFiles:
    """The files of a policy in force: its own, rule packs beside the shipped ones, lists and registries."""

    policy: Path
    rules: tuple[Path, ...] = ()
    lists: Path | None = None
    brands: Path | None = None

    def load(self) -> PolicyInForce:
        """Raises ValueError, in words that name the file."""
        try:
            tried = _packs(self.rules)
            message = parse_message(self.policy.read_text(encoding="utf-8"), ModerationPolicy)
            # A pack that the policy does not name is tried as if it did.
            message.rule_packs.extend(name for name in tried if name not in message.rule_packs)
            policy = put_in_force(message, {**pack.shipped(), **tried})
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.policy}: {error}") from error
        return policy.beside(_lists(self.lists), _brands(self.brands))


@dataclass(frozen=True)
class Trial:
    """What is tried: a candidate, and the policies that checks were decided under."""

    candidate: PolicyFiles
    known: tuple[PolicyFiles, ...]
    most_examples: int

    def rejudge(self) -> Rejudge:
        """Raises ValueError."""
        return Rejudge(self.candidate.load(), [each.load() for each in self.known], self.most_examples)


class _Judge:
    """What a process judges by; made once in each."""

    rejudge: Rejudge | None = None


def judge(trial: Trial, parts: Sequence[Part], workers: int, done: Callable[[int], None]) -> FlipTally:
    """What all parts come to; `done` is told the weight of each. Raises ValueError."""
    rejudge = trial.rejudge()
    whole = FlipTally()
    tallies = (
        _on_processes(trial, parts, workers)
        if workers > 1 and len(parts) > 1
        else ((part, rejudge.tally(part.records())) for part in parts)
    )
    for part, tally in tallies:
        whole.add(tally, trial.most_examples)
        done(part.weight)
    return whole


def _on_processes(trial: Trial, parts: Sequence[Part], workers: int) -> Iterator[tuple[Part, FlipTally]]:
    """In the order in which they are done."""
    pool = ProcessPoolExecutor(
        min(workers, len(parts)), mp_context=get_context("spawn"), initializer=_prepare, initargs=(trial,)
    )
    with pool:
        running = {pool.submit(_tally, part): part for part in parts}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare(trial: Trial) -> None:
    _Judge.rejudge = trial.rejudge()


def _tally(part: Part) -> FlipTally:
    if _Judge.rejudge is None:
        raise ValueError("the process has not been told what to judge by")
    return _Judge.rejudge.tally(part.records())


def _packs(paths: Sequence[Path]) -> dict[str, RulePack]:
    """The packs of files, and of the files in folders, by name."""
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    loaded = [pack.load(file.read_text(encoding="utf-8")) for file in files]
    return {each.name: each for each in loaded}


def _lists(folder: Path | None) -> HashLists:
    return list_source.FolderListSource(folder).lists() if folder else list_source.no_lists()


def _brands(folder: Path | None) -> Brands:
    return brand_source.FolderBrandSource(folder).brands() if folder else brand_source.no_brands()
