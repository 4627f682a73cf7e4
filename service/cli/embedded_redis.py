"""``enrich redis``: the data of the Redis that ``enrich up`` brings."""

from typing import Annotated

import typer

from service.cli.common.output import print_json, sanitize
from service.redis.embedded.repair import Repaired, repair
from service.settings import Settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def redis() -> None:
    """Repair the data of the Redis that `enrich up` brings.

    Example: enrich redis repair
    """


@app.command("repair")
def repair_data(as_json: Annotated[bool, typer.Option("--json", help="A JSON array instead of text.")] = False) -> None:
    """Repair the data in ENRICH_DATA_DIR when Redis does not start because its append-only file is damaged.

    Stop `enrich up` first. A copy of the file is kept beside it. What cannot be read is cut out, all else is kept.

    Example: enrich redis repair
    """
    repaired = repair(Settings.load().enrich_data_dir)
    if as_json:
        print_json([_as_dict(file) for file in repaired])
        return
    for file in repaired:
        typer.echo(
            sanitize(f"{file.file}: {file.removed} of {file.size} bytes could not be read and were cut out.")
            + sanitize(f" A copy of the damaged file is {file.copy}.")
        )
    if repaired:
        typer.echo("Start `enrich up` again. Then `enrich backfill --since 12h` finds orders that lost a change.")
    else:
        typer.echo("The append-only file has no damage.")


def _as_dict(file: Repaired) -> dict[str, object]:
    return {"file": str(file.file), "copy": str(file.copy), "size": file.size, "removed": file.removed}
