"""`ostiary check`: one check per file, told to people or as JSON lines."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ostiary.cli.check_run import Outcome

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Wanted(StrEnum):
    """What a check can answer with."""

    FLAGS = "flags"
    DESCRIPTION = "description"
    ATTRIBUTES = "attributes"


EPILOG = (
    "Exit code, the gravest of all files: 0 all ALLOW, 3 REVIEW, 4 HOLD, 5 BLOCK, 1 an error (graver than "
    "any verdict: what could not be asked is not known). 2 is a wrong command line.\n\n"
    "Examples:\n\n"
    "ostiary check --profile .ostiary/pipeline cup.jpg --title 'Espresso cup' --category home\n\n"
    "ostiary check --profile .ostiary/pipeline --json photos/*.jpg | jq -r .response.verdict"
)


@app.command(epilog=EPILOG)
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images: one check each.")],
    profile: Annotated[
        Path,
        typer.Option(
            envvar="OSTIARY_PROFILE", help="Folder of a role, or its profile.yaml.", show_default=False
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, per file.")] = False,
    title: Annotated[str, typer.Option(help="Title of the listing.")] = "",
    description: Annotated[str, typer.Option(help="The seller's own description.")] = "",
    category: Annotated[str, typer.Option(help="apparel, shoes, digital, home, beauty, or your own.")] = "",
    seller: Annotated[str, typer.Option(help="Identifier of the seller.")] = "",
    claimed_brand: Annotated[str, typer.Option(help="The brand that the seller claims.")] = "",
    territory: Annotated[str, typer.Option(help="Where it is sold: CN, DE, …")] = "",
    language: Annotated[str, typer.Option(help="Language of the description wanted: en or zh.")] = "",
    want: Annotated[
        list[Wanted] | None, typer.Option(help="What to answer with; repeat it for several; all by default.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Checks at the same time.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per check, with all its retries.")] = 60.0,
) -> None:
    """Check images through a gateway: may they be published?"""
    from ostiary.cli import check_report, check_run
    from ostiary.client import Profile
    from ostiary.client.request import ListingFields
    from ostiary.wire.errors import OstiaryError
    from ostiary.wire.logs import configure_logs

    for file in files:
        if file.is_dir():
            raise typer.BadParameter(
                f"{file} is a folder: name its images, as in {file}/*.jpg", param_hint="FILE"
            )
    try:
        known = Profile.load(profile)
    except OstiaryError as error:
        raise typer.BadParameter(str(error), param_hint="--profile") from error
    configure_logs("ostiary-check", "text")
    listing = ListingFields(
        title=title,
        description=description,
        category=category,
        seller=seller,
        claimed_brand=claimed_brand,
        territory=territory,
        language=language,
    )
    report = check_report.print_json if json else check_report.print_for_people
    outcomes: list[Outcome] = []
    with check_report.progress(len(files)) as advance:

        def told(outcome: "Outcome") -> None:
            outcomes.append(outcome)
            report(outcome)
            advance()

        work = check_run.Work(files, listing, [each.value for each in want] if want else None)
        asyncio.run(check_run.check_files(known, work, concurrency, timeout, told))
    raise typer.Exit(check_run.exit_code(outcomes))
