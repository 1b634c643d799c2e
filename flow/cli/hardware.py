"""The commands of the hardware: compile, simulate, explore, hls, bitstream, resources."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.cli.options import (
    JsonOption,
    MetricOption,
    TargetOption,
    WorkersOption,
    as_options,
    takes_network,
)
from bitlathe.flow.cli.output import print_json, show
from bitlathe.flow.errors import refuse_idle
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.target.config import find_target

RESOURCES_OUT = Path("build/bench/resources.json")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("compile")(takes_network(compile_command))
    app.command()(takes_network(simulate))
    app.command()(resources)
    app.command("explore")(takes_network(explore_command))
    app.command("hls")(takes_network(hls_command))
    app.command()(bitstream)


def compile_command(
    request: NetworkRequest,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; one of an earlier run is replaced.")],
    target: TargetOption = "pynq-z2",
    as_json: JsonOption = False,
) -> None:
    """Compile a network for a target: program, weights, manifest, and the engine's sources for Vivado."""
    from bitlathe.flow.cli.tables import show_compilation
    from bitlathe.flow.hardware.compilation import check_replaceable, compile_for
    from bitlathe.flow.network.obtain import obtain_ready

    board = find_target(target)
    check_replaceable(out)
    written = compile_for(obtain_ready(request, show), board).save(out)
    if as_json:
        print_json(written.to_json())
    else:
        show_compilation(written)


def simulate(
    request: NetworkRequest,
    target: TargetOption = "pynq-z2",
    images: Annotated[
        int | None, typer.Option("--images", help="Test images, the first ones; 16 if not given.")
    ] = None,
    metric: MetricOption = None,
    workers: WorkersOption = 1,
    stalls: Annotated[
        int, typer.Option("--stalls", min=0, max=99, help="Chance in percent that memory pauses in a cycle.")
    ] = 0,
    profile: Annotated[bool, typer.Option("--profile", help="Show the cycles layer by layer.")] = False,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="PNG that --profile draws; else build/profile/NETWORK-TARGET.png."),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="HTML page of what the hardware found in the first images, drawn."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run test images through the simulated hardware and compare every output integer with the reference."""
    from bitlathe.flow.cli.tables import show_profile, show_simulation
    from bitlathe.flow.hardware.compilation import compile_for
    from bitlathe.flow.hardware.simulation import SimulationOptions, simulate
    from bitlathe.flow.network.obtain import obtain

    refuse_idle("profile", profile, chart=chart)
    board = find_target(target)
    integer = obtain(replace(request, metric=metric), show)
    if pictures is not None:
        integer.pictures(1).draw()  # what cannot be drawn is refused before anything is compiled
    count = len(integer.some_images(images)[0])  # too many are refused before anything is compiled
    options = SimulationOptions(images=count, workers=workers, stall_percent=stalls, seed=request.seed)
    result = simulate(compile_for(integer, board), options, show)
    layers = result.profile
    drawing = chart or Path("build/profile") / f"{result.network}-{result.target}.png"
    if profile:
        layers.draw(drawing, f"{result.network} on {result.target}: {layers.cycles:,} cycles")
    if pictures is not None:
        result.pictures.save(pictures)
    if as_json:
        print_json(
            {**result.to_json(), **({"profile": layers.to_json(), "chart": str(drawing)} if profile else {})}
        )
    else:
        show_simulation(result)
        if profile:
            show_profile(layers, drawing)
    result.check()


def resources(
    target: TargetOption = "pynq-z2",
    out: Annotated[Path, typer.Option("--out", help="JSON file of the rows of all targets.")] = RESOURCES_OUT,
    as_json: JsonOption = False,
) -> None:
    """Synthesize the engine with Yosys, minutes once a version, and compare its area with the part's."""
    from bitlathe.flow.cli.tables import show_resources, show_timing
    from bitlathe.flow.hardware.resources import measured_resources

    board = find_target(target)
    row = measured_resources(board, out, show)
    if as_json:
        print_json(row.to_json())
    else:
        show_resources(row)
        show_timing(row, board.clock_mhz)


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
    from bitlathe.flow.cli.tables import show_explored
    from bitlathe.flow.hardware.explore import run_explore
    from bitlathe.flow.network.obtain import obtain_graph

    row, found = run_explore(*obtain_graph(request, show), find_target(target), deadline, show)
    if as_json:
        print_json(row.to_json())
    else:
        show_explored(row, found)


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
    from bitlathe.flow.cli.tables import show_hls
    from bitlathe.flow.errors import member_of
    from bitlathe.flow.hardware.hls import Flow, Hls4mlBackend, HlsRequest, Synth, run_hls
    from bitlathe.flow.network.obtain import obtain

    asked = HlsRequest(
        target=find_target(target),
        flow=member_of(Flow, "flow", flow),
        backend=None if backend is None else member_of(Hls4mlBackend, "backend", backend),
        reuse_factor=reuse,
        out=out,
        images=images,
        synth=member_of(Synth, "synth", synth),
    )
    result = run_hls(obtain(request, show), asked, show)
    if as_json:
        print_json(result.to_json())
    else:
        show_hls(result)
    result.check()


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
    from bitlathe.flow.errors import member_of
    from bitlathe.flow.hardware.bitstream import run_bitstream
    from bitlathe.hls.tools.scripts import EngineKind

    board, kind = find_target(target), member_of(EngineKind, "engine", engine)
    folder = out or Path("build/bitstream") / f"{board.name}-{kind.value}"
    done = run_bitstream(board, kind, folder, require, project, show)
    print("\n".join(map(as_options, done)))
