"""Steps of a plan in lazy order: loads just before the EXEC that needs them, stores just after the EXEC.

The order is a legal one for a machine that takes one step at a time; `dependencies` finds out which of it
matters, and `schedule` moves the loads forward.
"""

from dataclasses import dataclass, field, replace

from bitlathe.hls.compile.fast_residual import raster, with_fast_residual
from bitlathe.hls.compile.groups import Grouping, sweep
from bitlathe.hls.compile.memory import Block, Buffer, Span, StoreKind
from bitlathe.hls.compile.network import Layer, LayerKind, Map
from bitlathe.hls.compile.plan import EnginePlan, LayerPlan, MapPlace, Piece
from bitlathe.hls.compile.steps import CODEBOOK, AnyStep, ExecStep, LoadWeightsStep, MoveStep
from bitlathe.hls.compile.weights import WeightImage, pass_lines
from bitlathe.hls.program import Encoding, Opcode

ZERO_LINE = Buffer(name="zero line", memory=StoreKind.WEIGHTS, line=0, lines=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """Rows and tiles of a map where an EXEC finds them."""

    block: Block
    row: int  # row of the map that is in the buffer's row 0
    rows: int  # rows of the map that the buffer holds from there


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapPart:
    """Tiles and rows of a map."""

    map: Map
    tiles: Span
    rows: Span

    def block(self, buffer: Buffer, first_tile: int = 0) -> Block:
        """Its place in a buffer of the map's whole region, or of its tiles from `first_tile` on."""
        return Block(
            buffer=buffer,
            tile=self.map.first_tile + self.tiles[0] - first_tile,
            tiles=self.tiles[1] - self.tiles[0],
            row=self.rows[0],
            rows=self.rows[1] - self.rows[0],
        )

    def alone(self, buffer: Buffer) -> Block:
        """Its place in a buffer that holds nothing else."""
        tiles, rows = self.tiles[1] - self.tiles[0], self.rows[1] - self.rows[0]
        return Block(buffer=buffer, tile=0, tiles=tiles, row=0, rows=rows, is_whole=True)


@dataclass(slots=True, kw_only=True)
class _Builder:
    plan: EnginePlan
    image: WeightImage
    next_line: int  # of the weight store, which is filled as a ring
    steps: list[AnyStep] = field(default_factory=list)
    input_rows: int = 0  # rows of a whole input loaded so far
    strips: dict[str, tuple[_MapPart, _Strip]] = field(default_factory=dict)  # what turning buffers hold
    weights: dict[str, tuple[Span, Buffer]] = field(default_factory=dict)  # passes in the weight store
    codebook: Span | None = None  # words of the image that the codebook holds
    turns: dict[str, int] = field(default_factory=dict)  # strips taken so far, by place

    def turn(self, place: MapPlace) -> Buffer:
        """The next of a place's buffers."""
        index = self.turns.get(place.name, 0)
        self.turns[place.name] = index + 1
        return place.buffers[index % len(place.buffers)]


def build_steps(plan: EnginePlan, image: WeightImage) -> tuple[AnyStep, ...]:
    """Steps of a plan in lazy order."""
    builder = _Builder(plan=plan, image=image, next_line=image.pinned_lines)
    for layer in plan.layers:
        for piece in layer.pieces():
            _add_piece(builder, layer, piece)
    return tuple(builder.steps)


def _add_piece(builder: _Builder, plan: LayerPlan, piece: Piece) -> None:
    layer, words = plan.layer, plan.output_words(piece)
    source_part = _MapPart(
        map=layer.source,
        tiles=(0, layer.source.tiles) if layer.kind is LayerKind.DENSE else words,
        rows=layer.rows_read(piece.row, piece.row + piece.rows),
    )
    source = _fetched(builder, layer.node, plan.source, source_part)
    weights = _weights(builder, plan, piece)
    residual = _residual(builder, plan, piece)
    rows = (piece.row, piece.row + piece.rows)
    target_part = _MapPart(map=layer.output, tiles=layer.output.tiles_of(words), rows=rows)
    target = _target(builder, plan.target, target_part)
    execute = ExecStep(
        layer=layer,
        source=source.block,
        source_row=source.row,
        source_rows=source.rows,
        target=target,
        residual=residual,
        row=piece.row,
        weights=weights,
        grouping=_grouping(builder, plan, piece, source, residual, target),
        words=words[1] - words[0],
        sub_tiles=plan.sub_tiles,
    )
    builder.steps.append(execute)
    for home in builder.plan.store_homes.get(layer.output.region.name, ()):
        if home.takes(layer.output):
            stored = target_part.block(home.buffer, home.tiles[0])
            _add_move(builder, Opcode.STORE, layer.node, target, stored)


def _grouping(
    builder: _Builder, plan: LayerPlan, piece: Piece, source: _Strip, residual: Block | None, target: Block
) -> Grouping:
    if residual is None:
        return plan.grouping
    layer, grouping = plan.layer, plan.grouping
    strip = replace(
        sweep(layer, grouping),
        out_h=target.rows,
        start_y=piece.row * layer.stride[0] - layer.padding[0] - source.row,
        in_h=source.rows,
    )
    return with_fast_residual(
        grouping, layer, strip, raster(residual), raster(target), builder.plan.configuration
    )


def _residual(builder: _Builder, plan: LayerPlan, piece: Piece) -> Block | None:
    residual = plan.layer.residual
    if residual is None or plan.residual is None:
        return None
    tiles = residual.tiles_of(plan.output_words(piece))
    part = _MapPart(map=residual, tiles=tiles, rows=(piece.row, piece.row + piece.rows))
    return _fetched(builder, plan.layer.node, plan.residual, part).block


def _target(builder: _Builder, place: MapPlace, part: _MapPart) -> Block:
    if place.is_whole:
        return part.block(place.buffers[0])
    return part.alone(builder.turn(place))


def _fetched(builder: _Builder, node: str, place: MapPlace, part: _MapPart) -> _Strip:
    """Where a part of a map is found, after the loads that it needs."""
    if place.is_whole:
        return _whole(builder, node, place.buffers[0], part)
    if place.name in builder.strips and builder.strips[place.name][0] == part:
        return builder.strips[place.name][1]
    block = part.alone(builder.turn(place))
    _add_move(builder, Opcode.LOAD, node, block, part.block(builder.plan.load_homes[part.map.region.name]))
    strip = _Strip(block=block, row=part.rows[0], rows=block.rows)
    builder.strips[place.name] = part, strip
    return strip


def _whole(builder: _Builder, node: str, buffer: Buffer, part: _MapPart) -> _Strip:
    is_input = part.map.region == builder.plan.network.input.region
    if is_input and part.rows[1] > builder.input_rows:
        rows = (builder.input_rows, part.rows[1])
        fresh = _MapPart(map=part.map, tiles=(0, part.map.tiles), rows=rows)
        home = builder.plan.load_homes[part.map.region.name]
        _add_move(builder, Opcode.LOAD, node, fresh.block(buffer), fresh.block(home))
        builder.input_rows = part.rows[1]
    return _Strip(block=part.block(buffer), row=0, rows=part.map.height)


def _add_move(builder: _Builder, opcode: Opcode, node: str, chip: Block, ddr: Block) -> None:
    builder.steps.append(MoveStep(opcode=opcode, node=node, chip=chip, ddr=ddr))


def _weights(builder: _Builder, plan: LayerPlan, piece: Piece) -> Buffer:
    """Lines of a piece's weights, after the load that brings them unless they are there."""
    layer = plan.layer
    span = (0, 1) if layer.repeats_weights else (piece.first_pass, piece.end_pass)
    if layer.kind is LayerKind.MAX:
        return _zero_line(builder, layer.node)
    key = f"{layer.name} {span}" if builder.image.stays else layer.name
    if key in builder.weights and builder.weights[key][0] == span:
        return builder.weights[key][1]
    lines = _lines(builder, layer, span)
    builder.weights[key] = span, lines
    _add_weights(builder, layer, span, lines)
    return lines


def _zero_line(builder: _Builder, node: str) -> Buffer:
    if ZERO_LINE.name not in builder.weights:
        builder.weights[ZERO_LINE.name] = (0, 1), ZERO_LINE
        beats = builder.plan.configuration.po
        builder.steps.append(LoadWeightsStep(node=node, lines=ZERO_LINE, word=0, beats=beats, once=True))
    return ZERO_LINE


def _lines(builder: _Builder, layer: Layer, span: Span) -> Buffer:
    """Lines for some passes of a layer: their own if all weights stay, else the next of the ring."""
    count = (span[1] - span[0]) * pass_lines(layer)
    name = f"weights of {layer.name} {span}"
    if builder.image.stays:
        line = builder.image.layers[layer.name].line + span[0] * pass_lines(layer)
        return Buffer(name=name, memory=StoreKind.WEIGHTS, line=line, lines=count)
    if builder.next_line + count > builder.plan.configuration.weight_lines:
        builder.next_line = builder.image.pinned_lines  # the ring starts above the line that stays
    lines = Buffer(name=name, memory=StoreKind.WEIGHTS, line=builder.next_line, lines=count)
    builder.next_line += count
    return lines


def _add_weights(builder: _Builder, layer: Layer, span: Span, lines: Buffer) -> None:
    """Loads of some passes' lines, and of the codebook before them unless it is there."""
    image = builder.image.layers[layer.name]
    if image.codebook is not None and image.codebook != builder.codebook:
        builder.codebook = image.codebook
        word, beats = image.codebook
        load = LoadWeightsStep(
            node=layer.node,
            lines=CODEBOOK,
            word=word,
            beats=beats,
            once=builder.image.stays,
            encoding=Encoding.CODEBOOK,
        )
        builder.steps.append(load)
    load = LoadWeightsStep(
        node=layer.node,
        lines=lines,
        word=image.word + span[0] * image.pass_words,
        beats=(span[1] - span[0]) * image.pass_words,
        once=builder.image.stays,
        encoding=image.encoding,
        pass_lines=pass_lines(layer) - 1,
    )
    builder.steps.append(load)
