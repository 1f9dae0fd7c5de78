"""`ostiary review`: the review desk on a command line."""

import asyncio
import json as encoder
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ostiary_gateway.cli.ending import fail

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Review flagged items: take the next one, decide, comment, appeal; and see how far reviewers agree.",
    epilog=(
        "Examples:\n\n"
        "ostiary review next --profile .ostiary/auditor — take the gravest case that waits\n\n"
        "ostiary review decide 0193… --ruling overturn --reason 'a pattern, no QR code' "
        "--seller-reason 'Your listing is published.'\n\n"
        "ostiary review comment 0193… 'looks like last week’s'\n\n"
        "ostiary review stats --config .ostiary/gateway/gateway.yaml --golden golden.csv"
    ),
)


class Rule(StrEnum):
    """How a case is decided."""

    UPHOLD = "uphold"
    OVERTURN = "overturn"
    ESCALATE = "escalate"


ProfileOption = Annotated[
    Path,
    typer.Option("--profile", envvar="OSTIARY_PROFILE", help="Folder of a role, or its profile.yaml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds that a call may take.")]
CheckId = Annotated[str, typer.Argument(metavar="CHECK", help="Identifier of the check.")]
_AUDITOR, _PIPELINE = Path(".ostiary/auditor"), Path(".ostiary/pipeline")
_EXIT_EMPTY = 3


@app.command("next", epilog="Exit codes: 0 taken, 1 an error, 2 usage, 3 no case waits.")
def next_(
    check: Annotated[str, typer.Argument(metavar="[CHECK]", help="This case, and not the next one.")] = "",
    profile: ProfileOption = _AUDITOR,
    lease: Annotated[int, typer.Option(min=1, max=120, help="For how many minutes.")] = 15,
    json: AsJson = False,
    timeout: Timeout = 30.0,
) -> None:
    """Take a case for review: the gravest that waits, then the oldest. Taking it again renews the lease."""
    from google.protobuf.duration_pb2 import Duration

    from ostiary.v1.audit_pb2 import ClaimCaseRequest, GetCaseRequest
    from ostiary.wire.errors import OstiaryError, Reason
    from ostiary_gateway.cli.review_report import case_document, tell_case

    asked = ClaimCaseRequest(check_id=check, lease=Duration(seconds=60 * lease))

    async def take(desk: "AuditServiceAsyncStub") -> Any:
        claimed = await desk.ClaimCase(asked, timeout=timeout)
        wanted = GetCaseRequest(check_id=claimed.summary.check_id)
        return claimed, await desk.GetCase(wanted, timeout=timeout)

    try:
        claimed, case = _call(profile, take)
    except OstiaryError as error:
        if error.reason is Reason.NOT_FOUND and not check:
            typer.echo("{}" if json else "no case waits for you")
            raise typer.Exit(_EXIT_EMPTY) from error
        raise
    if json:
        typer.echo(encoder.dumps(case_document(claimed, case), ensure_ascii=False))
    else:
        tell_case(claimed, case)


@app.command(
    epilog=(
        "Exit codes: 0 all decided, 1 some not (each says why), 2 usage.\n\n"
        "Example: jq -r .check_id found.jsonl | xargs ostiary review decide --ruling uphold --reason 'fakes'"
    )
)
def decide(
    checks: Annotated[list[str], typer.Argument(metavar="CHECK...", help="1 to 200 checks.")],
    ruling: Annotated[Rule, typer.Option(help="How.")],
    reason: Annotated[str, typer.Option(help="Why, for compliance teams.")],
    seller_reason: Annotated[str, typer.Option(help="Why, for the seller.")] = "",
    allow_days: Annotated[
        int | None, typer.Option(min=1, help="How long an overturn allows the seller's picture; 90.")
    ] = None,
    profile: ProfileOption = _AUDITOR,
    json: AsJson = False,
    timeout: Timeout = 60.0,
) -> None:
    """Decide cases: uphold, overturn or escalate. A case that cannot be decided keeps none from it."""
    from google.protobuf.duration_pb2 import Duration

    from ostiary.v1.audit_pb2 import DecideCasesRequest, Ruling
    from ostiary_gateway.cli.review_report import outcome_document, tell_outcomes

    asked = DecideCasesRequest(
        check_ids=checks,
        ruling=Ruling.Value(f"RULING_{ruling.name}"),
        internal_reason=reason,
        seller_reason=seller_reason,
        allow_for=None if allow_days is None else Duration(seconds=86_400 * allow_days),
    )
    outcomes = _call(profile, lambda desk: desk.DecideCases(asked, timeout=timeout)).outcomes
    if json:
        documents = [outcome_document(each) for each in outcomes]
        typer.echo(encoder.dumps({"outcomes": documents}, ensure_ascii=False))
    else:
        tell_outcomes(outcomes)
    raise typer.Exit(1 if any(each.error for each in outcomes) else 0)


@app.command(epilog="Example: ostiary review comment 0193… 'asked the brand'")
def comment(
    check: CheckId,
    text: Annotated[str, typer.Argument(help="The comment.")],
    profile: ProfileOption = _AUDITOR,
    json: AsJson = False,
    timeout: Timeout = 30.0,
) -> None:
    """Add a comment to a case."""
    from ostiary.v1.audit_pb2 import AddCommentRequest

    asked = AddCommentRequest(check_id=check, text=text)
    event = _call(profile, lambda desk: desk.AddComment(asked, timeout=timeout)).event
    _tell(event, f"commented; entry {event.log_index} of the log", as_json=json)


@app.command(
    epilog="Example: ostiary review appeal 0193… --statement 'I own the brand' --profile .ostiary/pipeline"
)
def appeal(
    check: CheckId,
    statement: Annotated[str, typer.Option(help="What the seller says.")],
    callback: Annotated[str, typer.Option(help="HTTPS address that is told the outcome.")] = "",
    profile: ProfileOption = _PIPELINE,
    json: AsJson = False,
    timeout: Timeout = 30.0,
) -> None:
    """Appeal a decision for its seller: the case comes before a reviewer again."""
    from ostiary.v1.audit_pb2 import OpenAppealRequest

    asked = OpenAppealRequest(check_id=check, statement=statement, callback_uri=callback)
    answer = _call(profile, lambda desk: desk.OpenAppeal(asked, timeout=timeout))
    _tell(answer, f"appeal {answer.appeal_id} is open", as_json=json)


@app.command(
    epilog=(
        "Kappa (Cohen 1960): 1 is agreement, 0 is chance. Of reviewers: with known answers (--golden), else "
        "with whoever ruled on the same case. Of bundles: what they came to, with what people made of it.\n\n"
        "Example: ostiary review stats --config .ostiary/gateway/gateway.yaml --since 2026-11-01"
    )
)
def stats(
    config: Annotated[
        Path,
        typer.Option(metavar="FILE", help="gateway.yaml of the gateway whose record is read; it may run."),
    ],
    golden: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV of check_id,ruling; unless given, the gateway's.")
    ] = None,
    since: Annotated[str, typer.Option(help="Checks recorded from then on: 2026-11-01.")] = "",
    until: Annotated[str, typer.Option(help="Checks recorded before then.")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant's checks.")] = "",
    json: AsJson = False,
) -> None:
    """Tell how far reviewers agree: per reviewer and per bundle."""
    from ostiary.wire.process import load_settings
    from ostiary_gateway.cli.dry_run import parse_time
    from ostiary_gateway.cli.review_report import stats_document, tell_stats
    from ostiary_gateway.review.agreement import by_bundle, by_reviewer
    from ostiary_gateway.review.golden import parse_golden
    from ostiary_gateway.settings import GatewaySettings
    from ostiary_gateway.store.history import Period
    from ostiary_gateway.store.rulings import reviewed

    try:
        period = Period(parse_time("--since", since), parse_time("--until", until), tenant)
        settings = load_settings(GatewaySettings, config, "OSTIARY_GATEWAY_")
    except ValueError as error:
        typer.echo(f"ostiary review stats: {error}", err=True)
        raise typer.Exit(2) from error
    file = golden or settings.review.golden
    try:
        known = parse_golden(file.read_text(encoding="utf-8")) if file else {}
        cases = list(reviewed(settings.store, period))
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}" if file and not isinstance(error, OSError) else str(error))
    found = {"reviewers": by_reviewer(cases, known), "bundles": by_bundle(cases, known)}
    if json:
        typer.echo(encoder.dumps({"cases": len(cases), **stats_document(found)}, ensure_ascii=False))
    else:
        tell_stats(len(cases), found)


def _call(path: Path, work: "Callable[[AuditServiceAsyncStub], Awaitable[T]]") -> T:
    """What a call of the desk answers. Raises OstiaryError."""
    from ostiary.client import Profile
    from ostiary.wire.errors import OstiaryError
    from ostiary_gateway.cli.review_calls import with_desk

    try:
        profile = Profile.load(path)
    except OstiaryError as error:
        raise typer.BadParameter(str(error), param_hint="--profile") from error
    return asyncio.run(with_desk(profile, work))


def _tell(message: "Message", words: str, *, as_json: bool) -> None:
    from google.protobuf import json_format

    if as_json:
        document = json_format.MessageToDict(message, preserving_proto_field_name=True)
        typer.echo(encoder.dumps(document, ensure_ascii=False))
    else:
        typer.echo(words)
