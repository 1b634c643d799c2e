"""The command line `bitlathe`.

What loads PyTorch is imported inside the commands, so that --help and wrong usage answer at once.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bitlathe.flow.board_commands import register as register_board_commands
from bitlathe.flow.compress_commands import register as register_compress
from bitlathe.flow.errors import ExitStatus, status_of
from bitlathe.flow.options import (
    DataOption,
    DatasetOption,
    JsonOption,
    TargetOption,
    WorkersOption,
    takes_network,
)
from bitlathe.flow.output import log_to_stderr, note, print_json, task
from bitlathe.flow.request import NetworkRequest
from bitlathe.flow.search_command import register as register_search_command
from bitlathe.hls.config import find_target
from bitlathe.model.graph.errors import BitlatheError, ToolError
from bitlathe.model.graph.files.settings import MAX_SEED

DEMO_OUT = Path("build/demo")
RESOURCES_OUT = Path("build/bench/resources.json")


COMMANDS = (  # in the order in which one works, as they are listed
    "train",
    "quantize",
    "sensitivity",
    "compress",
    "search",
    "compile",
    "simulate",
    "explore",
    "hls",
    "bitstream",
    "resources",
    "deploy",
    "agent",
    "measure",
    "demo",
    "doctor",
)


class CommandLine(TyperGroup):
    """The group of commands: our errors become one line and an exit status, all others stay as they are."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in order."""
        return list(COMMANDS)

    def invoke(self, ctx: Any) -> object:  # Typer's context is click's own class or a copy, by version
        """Run the command chosen."""
        try:
            return super().invoke(ctx)
        except BitlatheError as error:
            note(f"bitlathe: {error}")
            raise typer.Exit(status_of(error)) from error
        except KeyboardInterrupt as interrupt:
            note("bitlathe: interrupted")
            raise typer.Exit(ExitStatus.INTERRUPTED) from interrupt


app = typer.Typer(
    name="bitlathe",
    cls=CommandLine,
    help="Shape a CNN until it fits an FPGA, and prove bit for bit that what runs there is what was trained.",
    epilog="Exit status: 0 done, 1 a check failed, 2 wrong usage or bad input, 3 a tool or data is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a defect of ours shows the plain traceback that a report needs
)

register_board_commands(app)
register_search_command(app)
register_compress(app)


def _show_version(is_asked_for: bool) -> None:
    if is_asked_for:
        print(f"bitlathe {version('bitlathe')}")
        raise typer.Exit


@app.callback()
def bitlathe(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What comes before a command."""


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path's bytes may be no text
    app()


@app.command()
def train(
    network: Annotated[str, typer.Option("--network", help="Network of the zoo.")],
    dataset: DatasetOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of checkpoint and weights; else build/train/NETWORK-DATASET."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the training images.")] = 40,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step.")] = 64,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = 0.05,
    momentum: Annotated[float, typer.Option("--momentum", help="Nesterov momentum.")] = 0.9,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Decay of weights.")] = 5e-4,
    schedule: Annotated[str, typer.Option("--schedule", help="one-cycle or cosine.")] = "one-cycle",
    label_smoothing: Annotated[
        float, typer.Option("--label-smoothing", help="Share of the target spread over all classes.")
    ] = 0.0,
    augment: Annotated[bool, typer.Option("--augment", help="Shift and mirror the training images.")] = False,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16.")] = "float32",
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of weights, order and augmentation."),
    ] = 0,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Processor threads; PyTorch's choice if not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network of the zoo; a checkpoint is kept after every epoch."""
    from bitlathe.flow.training import run_training, training_config

    config = training_config(
        network=network,
        dataset=dataset,
        schedule=schedule,
        precision=precision,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augment=augment,
        seed=seed,
        threads=threads,
    )
    log_to_stderr()
    trained = run_training(config, data, out, resume)
    if as_json:
        print_json(trained.to_json())
    else:
        print(f"{trained.weights}: test accuracy {100 * trained.metadata.accuracy:.2f} %")


@app.command()
@takes_network
def quantize(
    request: NetworkRequest,
    images: Annotated[int | None, typer.Option("--images", help="Test images; all if not given.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File of the integer graph (.blg).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Quantize a trained network and compare its accuracy before and after."""
    from bitlathe.flow.integer_network import obtain
    from bitlathe.flow.quantization import measure
    from bitlathe.flow.reports import show_quantization

    result = measure(obtain(request), request, images, out)
    if as_json:
        print_json(result.to_json())
    else:
        show_quantization(result)


@app.command("compile")
@takes_network
def compile_command(
    request: NetworkRequest,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; one of an earlier run is replaced.")],
    target: TargetOption = "pynq-z2",
    as_json: JsonOption = False,
) -> None:
    """Compile a network for a target: program, weights, manifest, and the engine's sources for Vivado."""
    from bitlathe.flow.compilation import check_replaceable, compile_for, write_compilation
    from bitlathe.flow.integer_network import obtain_ready
    from bitlathe.flow.reports import show_compilation

    board = find_target(target)
    check_replaceable(out)
    ready = obtain_ready(request)
    written = write_compilation(ready, compile_for(ready, board), board, out)
    if as_json:
        print_json(written.to_json())
    else:
        show_compilation(written)


@app.command()
@takes_network
def simulate(
    request: NetworkRequest,
    target: TargetOption = "pynq-z2",
    images: Annotated[int, typer.Option("--images", help="Test images, the first ones.")] = 16,
    workers: WorkersOption = 1,
    stalls: Annotated[
        int, typer.Option("--stalls", min=0, max=99, help="Chance in percent that memory pauses in a cycle.")
    ] = 0,
    profile: Annotated[bool, typer.Option("--profile", help="Show the cycles layer by layer.")] = False,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="PNG that --profile draws; else build/profile/NETWORK-TARGET.png."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run test images through the simulated hardware and compare every output integer with the reference."""
    from bitlathe.flow.integer_network import obtain
    from bitlathe.flow.reports import show_profile, show_simulation
    from bitlathe.flow.simulation import SimulationOptions, simulate

    board = find_target(target)
    options = SimulationOptions(images=images, workers=workers, stall_percent=stalls, seed=request.seed)
    integer = obtain(request)
    with task(f"simulating {integer.name}", images) as advance:
        result, layers = simulate(integer, board, options, advance)
    drawing = chart or Path("build/profile") / f"{result.network}-{result.target}.png"
    if profile:
        layers.draw(drawing, f"{result.network} on {result.target}: {layers.cycles:,} cycles")
    if as_json:
        print_json(
            {**result.to_json(), **({"profile": layers.to_json(), "chart": str(drawing)} if profile else {})}
        )
    else:
        show_simulation(result)
        if profile:
            show_profile(layers, drawing)
    result.check()


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of everything it makes.")] = DEMO_OUT,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Search for a small LeNet-5, compile it, and simulate every test image of digits on the hardware."""
    from bitlathe.flow.demo import run_demo
    from bitlathe.flow.reports import show_simulation
    from bitlathe.flow.search_report import show_search

    search, result = run_demo(out, workers)
    if as_json:
        print_json(result.to_json())
    else:
        show_search(search.result, search.baselines, search.report)
        show_simulation(result)
    result.check()


@app.command()
def resources(
    target: TargetOption = "pynq-z2",
    out: Annotated[Path, typer.Option("--out", help="JSON file of the rows of all targets.")] = RESOURCES_OUT,
    as_json: JsonOption = False,
) -> None:
    """Synthesize the engine with Yosys, minutes once a version, and compare its area with the part's."""
    from bitlathe.flow.reports import show_resources, show_timing
    from bitlathe.flow.resources import measured_resources

    board = find_target(target)
    row = measured_resources(board, out)
    if as_json:
        print_json(row.to_json())
    else:
        show_resources(row)
        show_timing(row, board.clock_mhz)


@app.command("explore")
@takes_network
def explore_command(
    request: NetworkRequest,
    target: TargetOption = "pynq-z2",
    seconds: Annotated[
        int,
        typer.Option("--seconds", min=0, help="No engine is begun later than this; those left are counted."),
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Compare the engines that a board could hold, by a network's cycles and by area."""
    deadline = time.monotonic() + seconds
    from bitlathe.flow.explore import run_explore, show_explored
    from bitlathe.flow.integer_network import obtain_graph

    row, found = run_explore(*obtain_graph(request), find_target(target), deadline)
    if as_json:
        print_json(row.to_json())
    else:
        show_explored(row, found)


@app.command("hls")
@takes_network
def hls_command(
    request: NetworkRequest,
    target: TargetOption = "pynq-z2",
    flow: Annotated[str, typer.Option("--flow", help="engine or hls4ml.")] = "engine",
    backend: Annotated[
        str | None, typer.Option("--backend", help="hls4ml's: Vitis or VivadoAccelerator; Vitis by default.")
    ] = None,
    reuse: Annotated[
        int | None, typer.Option("--reuse", help="hls4ml's reuse factor of all layers; else by the DSPs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the project; else build/hls/NETWORK-TARGET-FLOW.")
    ] = None,
    images: Annotated[int, typer.Option("--images", help="Test images of the C simulation.")] = 4,
    synth: Annotated[
        str, typer.Option("--synth", help="auto: synthesize if a tool is found; require; never.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Emit an HLS project, prove it in C simulation, and synthesize it where a vendor's tool is found."""
    from bitlathe.flow.hls_commands import hls_request, run_hls
    from bitlathe.flow.integer_network import obtain

    asked = hls_request(find_target(target), flow, backend, reuse, out, images, synth)
    result = run_hls(obtain(request), asked)
    if as_json:
        print_json(result.to_json())
    else:
        print("\n".join(result.lines()))
    result.check()


@app.command()
def bitstream(
    target: TargetOption = "pynq-z2",
    engine: Annotated[
        str, typer.Option("--engine", help="rtl: the SystemVerilog; hls, hls4ml: an exported IP.")
    ] = "rtl",
    project: Annotated[
        Path | None, typer.Option("--project", help="Folder of `bitlathe hls` with the IP; else found.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the project; else build/bitstream/TARGET-ENGINE.")
    ] = None,
    require: Annotated[bool, typer.Option("--require", help="Fail where Vivado is missing.")] = False,
) -> None:
    """Emit Vivado's block design around the engine, and build the bitstream where Vivado is found."""
    from bitlathe.flow.bitstream import run_bitstream
    from bitlathe.flow.hls_commands import engine_of

    board, kind = find_target(target), engine_of(engine)
    folder = out or Path("build/bitstream") / f"{board.name}-{kind.value}"
    print("\n".join(run_bitstream(board, kind, folder, require, project)))


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Tell which tools and data are here, and how to get the others."""
    from dataclasses import asdict

    from bitlathe.flow.doctor import collect
    from bitlathe.flow.reports import show_checks

    checks = collect()
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        show_checks(checks)
    missing = [check.name for check in checks if check.is_required and not check.found]
    if missing:
        raise ToolError(f"required and not found: {', '.join(missing)}; the table says how to get them")
