"""`bitlathe search` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.cli.options import (
    BudgetCyclesOption,
    BudgetMsOption,
    DataOption,
    JsonOption,
    LossOption,
    MetricOption,
)
from bitlathe.flow.cli.output import print_json, show


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(search)


def search(
    config: Annotated[
        Path, typer.Argument(help="Configuration (.toml); examples/search has commented ones.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of choices.json, the network and index.html.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch in --out.")] = False,
    own_seed: Annotated[int | None, typer.Option("--seed", help="Instead of the configuration's.")] = None,
    board: Annotated[
        list[str] | None,
        typer.Option("--board", help="HOST[:PORT] or sim://BOARD that measures latency; several share."),
    ] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="Token of real boards.")] = None,
    overlay: Annotated[Path | None, typer.Option("--overlay", help="Folder of real boards' overlay.")] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="Who trains candidates: sequential, local or ray.")
    ] = "sequential",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes of local or ray; 2 if not given.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Ray cluster; one is started here if not given.")
    ] = None,
    budget_ms: BudgetMsOption = None,
    budget_cycles: BudgetCyclesOption = None,
    metric: MetricOption = None,
    loss: LossOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose pruning and quantization epoch by epoch, by a rule such as measured latency (Algorithm 1)."""
    from bitlathe.flow.api.compress import search as run
    from bitlathe.flow.cli.tables import show_search

    finished = run(
        config,
        out,
        resume=resume,
        seed=own_seed,
        budget_ms=budget_ms,
        budget_cycles=budget_cycles,
        metric=metric,
        loss=loss,
        data=data,
        boards=board or (),
        token_file=token_file,
        overlay=overlay,
        executor=executor,
        workers=workers,
        ray_address=ray_address,
        progress=show,
    )
    if as_json:
        print_json(finished.to_json())
    else:
        show_search(finished)
    finished.check()
