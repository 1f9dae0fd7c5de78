"""The commands of `kubectl ostiary`; kubectl finds them as `kubectl-ostiary` on the PATH."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from ostiary_operator.kubectl.failure import FAILED, TIMED_OUT, UNDECIDED, USAGE, Failure

if TYPE_CHECKING:
    from ostiary_operator.kubectl.access import Cluster, Target
    from ostiary_operator.kubectl.rollout import Rollout
    from ostiary_operator.resources.model_deployment import ModelDeploymentSpec
    from ostiary_operator.rollout.snapshot import Verb

T = TypeVar("T")
_MOST_EVENTS = 10
app = typer.Typer(
    name="kubectl ostiary",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Roll versions of a model out, watch them, and roll them back.",
    epilog=(
        "Examples:\n\n"
        "kubectl ostiary get qwen --watch — versions, shares, pods and the way back, as they change\n\n"
        'kubectl ostiary rollback qwen --reason "flags nothing since the roll" — all traffic back, now\n\n'
        "kubectl ostiary explain qwen — why it is where it is, and what to do\n\n"
        "kubectl ostiary lint manifests/*.yaml — what is wrong, before the cluster says so\n\n"
        "Exit codes: 0 done, 1 refused or failed, 2 wrong command line, 3 not as hoped for, 4 not yet."
    ),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A ModelDeployment.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Else that of the context.")]
Context = Annotated[str | None, typer.Option("--context", help="Of the kubeconfig; else its current one.")]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="Else $KUBECONFIG, or ~/.kube/config.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for it.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Although a rollback would then take a cold start, or not be possible."),
]


@app.command(epilog="Example: kubectl ostiary get qwen --watch")
def get(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Else all of the namespace.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever it changes.")] = False,
    seconds: Annotated[
        float,
        typer.Option("--for", min=0, metavar="SECONDS", help="With --watch: end after so long; 0: never."),
    ] = 0.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the tree of a rollout: versions with their shares and pods, gateways, the way back."""
    from ostiary_operator.kubectl.report import of_rollout
    from ostiary_operator.kubectl.tree import tree

    async def show(cluster: Cluster) -> None:
        ends = time.monotonic() + seconds if seconds else float("inf")
        last = ""
        while True:
            found = await _seen(cluster, name)
            if as_json:
                text = "\n".join(json.dumps(of_rollout(one), ensure_ascii=False) for one in found)
            else:
                text = "\n\n".join("\n".join(tree(one)) for one in found)
            if text != last:
                _fresh_screen(watch)
                typer.echo(text or f"there is no ModelDeployment in namespace {cluster.namespace}")
                last = text
            if not watch or time.monotonic() >= ends:
                return
            await asyncio.sleep(1.0)

    _run(show, _target(namespace, context, kubeconfig))


@app.command(epilog="Example: kubectl ostiary describe qwen")
def describe(
    name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Show a rollout in full: its tree, steps, conditions, history and events."""
    from ostiary_operator.kubectl.seeing import events
    from ostiary_operator.kubectl.tree import description

    async def look(cluster: Cluster) -> list[str]:
        lines = description(await _rollout(cluster, name))
        try:
            told = await events(cluster, name)
        except Failure as failure:  # not everybody may see them
            told = [str(failure)]
        return [*lines, "", "Events:", *(f"  {line}" for line in told[-_MOST_EVENTS:] or ["none"])]

    typer.echo("\n".join(_run(look, _target(namespace, context, kubeconfig))))


@app.command(epilog="Example: kubectl ostiary explain qwen, or kubectl ostiary explain gas/qwen-1")
def explain(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A ModelDeployment, or gas/NAME: a GPUAutoscaler.")
    ],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say in words why a rollout is where it is, or why a version has as many pods as it has; what it waits
    for, and what to do.
    """
    from ostiary_operator.kubectl.autoscaler import KINDS, explained_autoscaler
    from ostiary_operator.kubectl.explain import explained

    target = _target(namespace, context, kubeconfig)
    kind, _, rest = name.partition("/")
    if rest and kind in KINDS:
        typer.echo("\n".join(_run(lambda cluster: explained_autoscaler(cluster, rest), target)))
        return
    typer.echo("\n".join(explained(_one(name, target))))


@app.command(epilog="Example: kubectl ostiary history qwen")
def history(
    name: Name,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what happened: versions that got all traffic, orders with their reasons, judgements."""
    from ostiary_operator.kubectl.tree import history as lines

    found = _one(name, _target(namespace, context, kubeconfig))
    if as_json:
        told = [one.model_dump(mode="json", by_alias=True) for one in found.status.history]
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo("\n".join(lines(found)))


@app.command(epilog="Example: kubectl ostiary promote qwen --full")
def promote(
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="Past all steps that are left.")] = False,
    force: Force = False,
    wait: Wait = 15.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Go on from where a rollout waits: past its pause, its analysis, or its copies.

    Exit codes: 0 the keeper does it, 1 refused, 4 it has not said so in time.
    """
    verb: Verb = "promote-full" if full else "promote"
    _ask(name, verb, _target(namespace, context, kubeconfig), wait, force=force, as_json=as_json)


@app.command(epilog="Example: kubectl ostiary abort qwen")
def abort(
    name: Name,
    wait: Wait = 15.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Take back the version that is on its way; it is not tried again before you say `retry`.

    Exit codes: 0 the keeper does it, 1 refused, 4 it has not said so in time.
    """
    _ask(name, "abort", _target(namespace, context, kubeconfig), wait, as_json=as_json)


@app.command(epilog="Example: kubectl ostiary retry qwen")
def retry(
    name: Name,
    wait: Wait = 15.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Try the version again that was taken back, from the first step on.

    Exit codes: 0 the keeper does it, 1 refused, 4 it has not said so in time.
    """
    _ask(name, "retry", _target(namespace, context, kubeconfig), wait, as_json=as_json)


@app.command(epilog="Example: kubectl ostiary pause qwen")
def pause(
    name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Hold a rollout where it is (spec.paused), until `resume`.

    Whatever keeps the object as Git has it may undo that: pause it there, or order a ModelOverride `Freeze`.
    """
    _pause(name, _target(namespace, context, kubeconfig), paused=True)


@app.command(epilog="Example: kubectl ostiary resume qwen")
def resume(
    name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Let a rollout that was paused go on."""
    _pause(name, _target(namespace, context, kubeconfig), paused=False)


@app.command(
    epilog='Example: kubectl ostiary rollback qwen --to qwen-1 --reason "flags nothing since the roll"'
)
def rollback(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads the history.")],
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Else the one before.")] = None,
    hours: Annotated[
        float,
        typer.Option("--hours", min=0.01, max=720, help="When the order ends; the version stays rejected."),
    ] = 24.0,
    actor: Annotated[str | None, typer.Option(help="Who orders it; else as the cluster knows you.")] = None,
    wait: Wait = 600.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Send all traffic to an earlier version, now, and show how it gets there.

    The order is a ModelOverride: an object of its own, which nothing that follows Git undoes. The version
    that is left is not tried again before the spec names another, or you say `retry`.

    Exit codes: 0 it has all traffic, 1 refused, 4 on its way still: the order stands.
    """
    from ostiary_operator.kubectl import orders
    from ostiary_operator.kubectl.report import of_rollout

    if not 0 < len(reason) <= 500:
        _fail("--reason: 1 to 500 characters", USAGE)
    tell: Callable[[str], None] = (lambda _: None) if as_json else typer.echo

    async def order(cluster: Cluster) -> int:
        ordered = await orders.order_rollback(cluster, name, to, reason, actor, hours * 3600)
        tell(f"{ordered.name}: all traffic of {name} goes to {ordered.to}; the order ends in {hours:g} h")
        there = await orders.followed(cluster, ordered, wait, tell)
        if as_json:
            rollout = there or await _rollout(cluster, name)
            said = {"override": ordered.name, "to": ordered.to, "arrived": there is not None}
            typer.echo(json.dumps({**said, "rollout": of_rollout(rollout)}, ensure_ascii=False))
        elif there is not None:
            tell(f"{ordered.to} has all traffic, and every gateway has said so")
        else:
            stands = f"The order stands: kubectl ostiary explain {name} says what it waits for"
            typer.echo(f"not there after {wait:g} s. {stands}", err=True)
        return TIMED_OUT if there is None else 0

    raise typer.Exit(_run(order, _target(namespace, context, kubeconfig)))


@app.command(epilog="Example: kubectl ostiary lint manifests/*.yaml --cluster")
def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML of Ostiary's resources.")],
    look: Annotated[bool, typer.Option("--cluster", help="Look there for what the files name.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check resources in files: fields, rules, sense, and whether what they name is there.

    Exit codes: 0 nothing is wrong, 1 something is, 2 a file cannot be read, 3 warnings under --strict.
    """
    from ostiary_operator.kubectl.lint import lint as remarks_on

    texts = [(str(path), _text(path)) for path in files]
    there = _run(_named, _target(namespace, context, kubeconfig)) if look else None
    remarks = remarks_on(texts, time.time(), there)
    for one in remarks:
        typer.echo(json.dumps(vars(one), ensure_ascii=False) if as_json else str(one))
    wrong = sum(one.severity == "error" for one in remarks)
    if not as_json:
        warned = len(remarks) - wrong
        typer.echo(f"{len(files)} files: {wrong} errors, {warned} warnings", err=True)
    raise typer.Exit(FAILED if wrong else UNDECIDED if remarks and strict else 0)


@app.command(epilog="Example: kubectl ostiary simulate qwen --to qwen-3 --demand 120")
def simulate(
    name: Name,
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Else as the spec says.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A ModelDeployment to try in place of the cluster's.")
    ] = None,
    demand: Annotated[
        float | None, typer.Option(min=0, help="Checks a second of the model; else pods by spec.replicas.")
    ] = None,
    load: Annotated[
        float, typer.Option("--load-seconds", min=0, help="Of a pod, where it was never measured.")
    ] = 120.0,
    as_json: AsJson = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what a rollout would take, by the keeper's own decisions: times, GPUs, and whether quotas fit.

    Nothing is changed. Analyses are taken to succeed, and people to promote at once.

    Exit codes: 0 it would arrive and fits, 1 refused, 3 it would not.
    """
    from ostiary_operator.kubectl.report import of_forecast
    from ostiary_operator.kubectl.simulate import Assumed, forecast, told
    from ostiary_operator.resources.model_deployment import VersionRef

    async def look(cluster: Cluster) -> int:
        rollout = await _rollout(cluster, name)
        if file is not None:
            rollout = replace(rollout, spec=_spec_in(file, name))
        if to is not None:
            changed = rollout.spec.model_copy(update={"version_ref": VersionRef(name=to)})
            rollout = replace(rollout, spec=changed)
        try:
            found = forecast(rollout, Assumed(demand, load))
        except ValueError as error:
            raise Failure(str(error)) from error
        fits = await _quotas(cluster, rollout, found.gpus)
        if as_json:
            quotas = [{**vars(one), "fits": one.fits} for one in fits]
            typer.echo(json.dumps({**of_forecast(found), "quotas": quotas}, ensure_ascii=False))
        else:
            typer.echo("\n".join([*told(found), *map(str, fits)]))
        return 0 if found.arrived and all(one.fits for one in fits) else UNDECIDED

    raise typer.Exit(_run(look, _target(namespace, context, kubeconfig)))


def main() -> None:
    """The entry point."""
    app()


def _target(namespace: str | None, context: str | None, kubeconfig: Path | None) -> Target:
    from ostiary_operator.kubectl.access import Target

    return Target(namespace, context, kubeconfig)


def _run(work: Callable[[Cluster], Awaitable[T]], target: Target) -> T:
    """What `work` gives; ends the command where it fails."""
    from ostiary_operator.kubectl.access import opened

    async def run() -> T:
        async with opened(target) as cluster:
            return await work(cluster)

    try:
        return asyncio.run(run())
    except Failure as failure:
        _fail(str(failure), failure.code)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _rollout(cluster: Cluster, name: str) -> Rollout:
    from ostiary_operator.kubectl.seeing import see

    return await see(cluster, name)


def _one(name: str, target: Target) -> Rollout:
    return _run(lambda cluster: _rollout(cluster, name), target)


async def _seen(cluster: Cluster, name: str | None) -> list[Rollout]:
    from ostiary_operator.kubectl.seeing import see_all

    if name is not None:
        return [await _rollout(cluster, name)]
    return await see_all(cluster)


async def _named(cluster: Cluster) -> dict[str, frozenset[str]]:
    """Names of what resources refer to, by kind."""
    from ostiary_operator.kubectl.access import OSTIARY

    plurals = {
        "ModelDeployment": "modeldeployments",
        "ModelVersion": "modelversions",
        "AnalysisTemplate": "analysistemplates",
    }
    return {
        kind: frozenset(one["metadata"]["name"] for one in await cluster.list(OSTIARY, plural))
        for kind, plural in plurals.items()
    }


def _ask(
    name: str, verb: Verb, target: Target, wait: float, *, force: bool = False, as_json: bool
) -> NoReturn:
    from ostiary_operator.kubectl import orders
    from ostiary_operator.kubectl.tree import headline

    async def ask(cluster: Cluster) -> int:
        request = await orders.ask(cluster, name, verb, force=force)
        rollout = await orders.answered(cluster, name, request, wait)
        refused = orders.refused(rollout) if rollout is not None else ""
        if as_json:
            said = {"name": name, "verb": verb, "id": request.id, "answered": rollout is not None}
            phase = rollout.status.phase if rollout else None
            typer.echo(json.dumps({**said, "refused": refused, "phase": phase}))
        elif rollout is None:
            typer.echo(f"asked, and the keeper has not answered within {wait:g} s: is it running?", err=True)
        elif refused:
            raise Failure(f"{name}: {refused}")
        else:
            typer.echo(headline(rollout))
        return TIMED_OUT if rollout is None else FAILED if refused else 0

    raise typer.Exit(_run(ask, target))


def _pause(name: str, target: Target, *, paused: bool) -> None:
    from ostiary_operator.kubectl import orders

    changed = _run(lambda cluster: orders.set_paused(cluster, name, paused=paused), target)
    state = "paused" if paused else "resumed"
    typer.echo(f"{name} {state}" if changed else f"{name} was {'paused' if paused else 'not paused'} already")


def _spec_in(file: Path, name: str) -> ModelDeploymentSpec:
    """The spec of a ModelDeployment in a file; ends the command where there is none or it is wrong."""
    import yaml

    from ostiary_operator.kubectl.lint import lint as remarks_on
    from ostiary_operator.resources.model_deployment import ModelDeploymentSpec

    text = _text(file)
    wrong = [str(one) for one in remarks_on([(str(file), text)], time.time()) if one.severity == "error"]
    if wrong:
        _fail("\n".join(wrong), FAILED)
    for one in yaml.safe_load_all(text):
        if one and one["kind"] == "ModelDeployment" and one["metadata"]["name"] == name:
            return ModelDeploymentSpec.model_validate(one["spec"])
    return _fail(f"{file}: there is no ModelDeployment {name} in it", FAILED)


async def _quotas(cluster: Cluster, rollout: Rollout, gpus: Sequence[int]) -> list[Any]:
    from ostiary_operator.kubectl.quota import fits

    spec = rollout.versions[rollout.spec.version_ref.name].spec
    resource = spec.gpu.resource if spec else "nvidia.com/gpu"
    return list(fits(await cluster.list("api/v1", "resourcequotas"), resource, gpus[0], gpus[1]))


def _fresh_screen(watching: bool) -> None:
    if watching and sys.stdout.isatty():
        typer.echo("\x1b[2J\x1b[H", nl=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path}: {error}", USAGE)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"kubectl ostiary: {message}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
