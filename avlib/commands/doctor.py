"""`avlib doctor`: what is not as avlib needs it, here and on the executors, and how to mend it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from avlib.commands.options import AsJson, Assign, Config, Debug, chosen_settings
from avlib.config import Settings
from avlib.doctor.finding import Finding, findings_as_text
from avlib.doctor.packages import check_packages


def doctor(
    warehouse: Annotated[
        str | None, typer.Option("--warehouse", "-w", help="Also try whether tables can be written here.")
    ] = None,
    config: Config = [],
    assign: Assign = [],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What is not as avlib needs it, here and on the executors, and the command that mends it. Exit code 2 if any."""
    settings = chosen_settings(config, assign)
    findings = [check_packages()]
    if findings[0].ok:  # the others import what may be missing
        findings += _check_all(settings, warehouse)
    typer.echo(
        json.dumps([finding.as_json() for finding in findings], indent=1) if as_json else findings_as_text(findings)
    )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(2)


def _check_all(settings: Settings, warehouse: str | None) -> list[Finding]:
    from avlib.doctor.machine import check_gpus, check_space, check_warehouse, check_weights
    from avlib.spark.doctor import check_spark
    from avlib.spark.session import submitted

    findings = [check_weights(settings.describe)]
    if not submitted():  # else executors describe: their own check answers for them
        findings.append(check_gpus(settings.describe))
    if warehouse is None:
        return [*findings, check_space(None), *check_spark(settings, None)]
    writable = check_warehouse(warehouse)
    usable = warehouse if writable.ok else None
    return [*findings, check_space(usable), writable, *check_spark(settings, usable)]
