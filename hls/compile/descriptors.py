"""The descriptor of a step, waits aside."""

from dataclasses import replace

from bitlathe.hls.compile.memory import Block
from bitlathe.hls.compile.network import LayerKind
from bitlathe.hls.compile.steps import AnyStep, ExecStep, LoadWeightsStep, MoveStep
from bitlathe.hls.compile.weights import table_words
from bitlathe.hls.program import (
    Descriptor,
    Encoding,
    Exec,
    LoadMove,
    LoadWeights,
    Move,
    Opcode,
    Space,
    StoreMove,
)
from bitlathe.hls.target.config import LARGEST_BANK, EngineConfiguration


def descriptor_of(step: AnyStep, configuration: EngineConfiguration) -> Descriptor:
    """A step's descriptor without waits."""
    if isinstance(step, MoveStep):
        return _move(step, configuration)
    if isinstance(step, LoadWeightsStep):
        return _load_weights(step, configuration)
    return _exec(step, configuration)


def _place(block: Block, banks: int, column: int = 0) -> tuple[int, int]:
    """Line and bank of the pixel in a column of a block's first row."""
    lines, bank = divmod(block.row * block.buffer.pitch + column, banks)
    return block.buffer.line + block.tile * block.buffer.plane + lines, bank


def _move(step: MoveStep, configuration: EngineConfiguration) -> Move:
    ddr, buffer, chip = step.ddr, step.ddr.buffer, step.chip
    words = buffer.line + ddr.tile * buffer.plane + ddr.row * buffer.pitch
    width = buffer.pitch  # rows follow one another without gaps in DDR
    line, bank = _place(chip, configuration.banks)
    row_line, row_bank = divmod(chip.buffer.pitch - (width - 1), configuration.banks)
    kind = LoadMove if step.opcode is Opcode.LOAD else StoreMove
    return kind(
        node=step.node,
        space=buffer.space,
        offset=words * configuration.word_bytes,
        segment_stride=buffer.plane * configuration.word_bytes,
        segment_words=ddr.rows * width,
        segments=ddr.tiles,
        row_words=width,
        line=line,
        bank=bank,
        plane=chip.buffer.plane,
        row_line=row_line,
        row_bank=row_bank,
    )


def _load_weights(step: LoadWeightsStep, configuration: EngineConfiguration) -> LoadWeights:
    return LoadWeights(
        node=step.node,
        once=step.once,
        space=Space.WEIGHTS,
        encoding=step.encoding,
        offset=step.word * configuration.word_bytes,
        beats=step.beats,
        weight_line=step.lines.line,
        pass_lines=step.pass_lines,
        narrow=step.narrow,
        lines=step.lines.lines if step.encoding is Encoding.SPARSE else 0,
    )


def _exec(step: ExecStep, configuration: EngineConfiguration) -> Exec:
    layer, grouping, banks = step.layer, step.grouping, configuration.banks
    tap_rows, tap_step = layer.window.tap_steps
    computed = Exec(
        node=step.node,
        group_cycles=grouping.group_cycles,
        group_lanes=grouping.lanes,
        row_break=grouping.row_break,
        is_max=layer.kind in (LayerKind.MAX, LayerKind.PRODUCT),
        in_signed=layer.source.signed,
        in_packed=layer.source.is_packed,
        out_packed=layer.output.is_packed,
        sub_tiles=step.sub_tiles,
        lo=layer.lo,
        hi=layer.hi,
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        ci_tiles=layer.ci_tiles,
        tap_rows=tap_rows,
        tap_step=tap_step,
        weight_line=step.weights.line,
        repeat_weights=layer.repeats_weights,
        hold_weights=layer.window.holds_weights,
        skip_weights=grouping.skip_weights,
        half_even=layer.parameters is not None and layer.parameters.half_even,
        has_table=step.table is not None,
        table=0 if step.table is None else step.table.line // table_words(configuration),
    )
    placed = _with_output(_with_source(computed, step, banks), step, banks)
    return placed if step.residual is None else _with_residual(placed, step, step.residual, banks)


def _with_source(execute: Exec, step: ExecStep, banks: int) -> Exec:
    layer, source = step.layer, step.source.buffer
    (rows, columns), last_column = layer.stride, layer.placed.size[1] - 1
    start_y = step.row * rows - layer.window.padding[0] - step.source_row
    start_x = -layer.window.padding[1]
    in_line, in_bank = divmod(start_y * source.pitch + start_x, banks)
    if step.rows == 1 and rows * source.pitch >= banks * LARGEST_BANK:
        rows = 1  # a step that is not taken, and has no room in its field
    pitch_line, pitch_bank = divmod(source.pitch, banks)
    in_row_line, in_row_bank = divmod(rows * source.pitch - columns * last_column, banks)
    tap_row = execute.tap_rows * source.pitch - execute.tap_step * (execute.kernel_w - 1)
    tap_row_line, tap_row_bank = divmod(tap_row, banks)
    return replace(
        execute.with_strides(rows, columns),
        start_y=start_y,
        start_x=start_x,
        in_h=step.source_rows,
        in_w=layer.source.width,
        in_line=source.line + step.source.tile * source.plane + in_line,
        in_bank=in_bank,
        in_plane=source.plane,
        in_tile_step=step.in_tile_step,
        pitch_line=pitch_line,
        pitch_bank=pitch_bank,
        in_row_line=in_row_line,
        in_row_bank=in_row_bank,
        tap_row_line=tap_row_line,
        tap_row_bank=tap_row_bank,
    )


def _with_output(execute: Exec, step: ExecStep, banks: int) -> Exec:
    placed, target = step.layer.placed, step.target.buffer
    (row_step, out_step), width = placed.step, placed.size[1]
    line, bank = _place(step.target, banks, placed.origin[1])
    row_line, row_bank = divmod(row_step * target.pitch - out_step * (width - 1), banks)
    return replace(
        execute,
        out_step=out_step,
        out_h=step.rows,
        out_w=width,
        out_tiles=step.words,
        out_line=line,
        out_bank=bank,
        out_plane=target.plane,
        out_row_line=row_line,
        out_row_bank=row_bank,
    )


def _with_residual(execute: Exec, step: ExecStep, block: Block, banks: int) -> Exec:
    layer, residual = step.layer, step.layer.residual
    assert residual is not None
    is_still = layer.residual_is_still
    line, bank = _place(block, banks, 0 if is_still else layer.placed.origin[1])
    row = 0 if is_still else block.buffer.pitch - (layer.placed.size[1] - 1)
    row_line, row_bank = divmod(row, banks)
    return replace(
        execute,
        has_residual=True,
        is_product=layer.kind is LayerKind.PRODUCT,
        res_still=is_still,
        res_signed=residual.signed,
        res_packed=residual.is_packed,
        res_fast=step.grouping.residual_every_cycle,
        res_line=line,
        res_bank=bank,
        res_plane=block.buffer.plane,
        res_row_line=row_line,
        res_row_bank=row_bank,
    )
