"""The descriptor fields of a step, waits aside."""

from collections.abc import Mapping

from bitlathe.hls.compile.memory import Block
from bitlathe.hls.compile.network import Kind
from bitlathe.hls.compile.steps import Exec, LoadWeights, Move, Step
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.program import Space

Fields = Mapping[str, int]


def fields_of(step: Step, configuration: EngineConfiguration) -> Fields:
    """Fields of a step's descriptor."""
    if isinstance(step, Move):
        return _move_fields(step, configuration)
    if isinstance(step, LoadWeights):
        return _load_weights_fields(step, configuration)
    return _exec_fields(step, configuration)


def _pair(name: str, position: int, banks: int, line: int = 0) -> Fields:
    """A position or a step of positions as its (line, bank) pair."""
    lines, bank = divmod(position, banks)
    return {f"{name}_line": line + lines, f"{name}_bank": bank}


def _place(block: Block, banks: int, prefix: str = "") -> Fields:
    """Line, bank and plane of a block's first pixel."""
    lines, bank = divmod(block.row * block.buffer.pitch, banks)
    line = block.buffer.line + block.tile * block.buffer.plane + lines
    return {f"{prefix}line": line, f"{prefix}bank": bank, f"{prefix}plane": block.buffer.plane}


def _move_fields(step: Move, configuration: EngineConfiguration) -> Fields:
    ddr, buffer = step.ddr, step.ddr.buffer
    words = buffer.line + ddr.tile * buffer.plane + ddr.row * buffer.pitch
    width = buffer.pitch  # rows lie without gaps in DDR
    return {
        "space": buffer.space,
        "offset": words * configuration.word_bytes,
        "segment_stride": buffer.plane * configuration.word_bytes,
        "segment_words": ddr.rows * width,
        "segments": ddr.tiles,
        "row_words": width,
        **_place(step.chip, configuration.banks),
        **_pair("row", step.chip.buffer.pitch - (width - 1), configuration.banks),
    }


def _load_weights_fields(step: LoadWeights, configuration: EngineConfiguration) -> Fields:
    return {
        "once": step.once,
        "space": Space.WEIGHTS,
        "encoding": step.encoding,
        "offset": step.word * configuration.word_bytes,
        "beats": step.beats,
        "weight_line": step.lines.line,
        "pass_lines": step.pass_lines,
    }


def _exec_fields(step: Exec, configuration: EngineConfiguration) -> Fields:
    layer = step.layer
    return {
        "group_cycles": step.grouping.group_cycles,
        "group_lanes": step.grouping.lanes,
        "row_break": step.grouping.row_break,
        "is_max": layer.kind is Kind.MAX,
        "in_signed": layer.source.signed,
        "in_packed": layer.source.is_packed,
        "out_packed": layer.output.is_packed,
        "sub_tiles": step.sub_tiles,
        "lo": layer.lo,
        "hi": layer.hi,
        "kernel_h": layer.kernel[0],
        "kernel_w": layer.kernel[1],
        "ci_tiles": layer.ci_tiles,
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
        "out_h": step.target.rows,
        "out_w": layer.output.width,
        "out_tiles": step.words,
        "weight_line": step.weights.line,
        "tap_step": layer.tap_step,
        "repeat_weights": layer.repeats_weights,
        "skip_weights": step.grouping.skip_weights,
        **_source_fields(step, configuration.banks),
        **_target_fields(step, configuration.banks),
        **_residual_fields(step, configuration.banks),
    }


def _source_fields(step: Exec, banks: int) -> Fields:
    layer, buffer = step.layer, step.source.buffer
    start_y = step.row * layer.stride[0] - layer.padding[0] - step.source_row
    start_x = -layer.padding[1]
    base = buffer.line + step.source.tile * buffer.plane
    return {
        "start_y": start_y,
        "start_x": start_x,
        "in_h": step.source_rows,
        "in_w": layer.source.width,
        "in_plane": buffer.plane,
        "in_tile_step": step.in_tile_step,
        **_pair("in", start_y * buffer.pitch + start_x, banks, base),
        **_pair("in_step", layer.stride[1], banks),
        **_pair("in_row", layer.stride[0] * buffer.pitch - layer.stride[1] * (layer.output.width - 1), banks),
        **_pair("tap_row", buffer.pitch - layer.tap_step * (layer.kernel[1] - 1), banks),
        **(_pair("skip", buffer.pitch, banks) if step.grouping.skip_weights else {}),
    }


def _target_fields(step: Exec, banks: int) -> Fields:
    row = step.target.buffer.pitch - (step.layer.output.width - 1)
    return {**_place(step.target, banks, "out_"), **_pair("out_row", row, banks)}


def _residual_fields(step: Exec, banks: int) -> Fields:
    if step.residual is None:
        return {}
    row = step.residual.buffer.pitch - (step.layer.output.width - 1)
    assert step.layer.residual is not None
    signed = step.layer.residual.signed
    return {
        "has_residual": 1,
        "res_signed": signed,
        "res_packed": step.layer.residual.is_packed,
        "res_fast": step.grouping.residual_every_cycle,
        **_place(step.residual, banks, "res_"),
        **_pair("res_row", row, banks),
    }
