"""Steps of a plan in lazy order: loads just before the EXEC that needs them, stores just after theirs.

The order is a legal one for a machine that takes one step at a time; `dependencies` finds out which of it
matters, and `schedule` moves the loads forward.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bitlathe.hls.compile.fast_residual import raster, with_fast_residual
from bitlathe.hls.compile.groups import Grouping
from bitlathe.hls.compile.memory import Block, Buffer, Memory
from bitlathe.hls.compile.network import Kind, Layer, Map
from bitlathe.hls.compile.plan import LayerPlan, Piece, Place, Plan
from bitlathe.hls.compile.steps import Exec, LoadWeights, Move, Step
from bitlathe.hls.compile.weights import WeightImage, pass_lines
from bitlathe.hls.program import Opcode

Span = tuple[int, int]  # first, end
ZERO_LINE = Buffer(name="zero line", memory=Memory.WEIGHTS, line=0, lines=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """Rows and tiles of a map where an EXEC finds them."""

    block: Block
    row: int  # row of the map that lies in the buffer's row 0
    rows: int  # rows of the map that the buffer holds from there


@dataclass(slots=True, kw_only=True)
class _Builder:
    plan: Plan
    image: WeightImage
    next_line: int  # of the weight store, which is filled as a ring
    steps: list[Step] = field(default_factory=list)
    input_rows: int = 0  # rows of a whole input loaded so far
    strips: dict[str, tuple[tuple[Span, Span], _Strip]] = field(
        default_factory=dict
    )  # what turning buffers hold
    weights: dict[str, tuple[Span, Buffer]] = field(
        default_factory=dict
    )  # passes of a layer in the weight store
    turns: dict[str, int] = field(default_factory=dict)  # strips taken so far, by layer and role

    def turn(self, key: str, place: Place) -> Buffer:
        """The next of a place's buffers."""
        index = self.turns.get(key, 0)
        self.turns[key] = index + 1
        return place.buffers[index % len(place.buffers)]


def build_steps(plan: Plan, image: WeightImage) -> tuple[Step, ...]:
    """Steps of a plan in lazy order."""
    builder = _Builder(plan=plan, image=image, next_line=image.pinned_lines)
    for layer in plan.layers:
        for piece in layer.pieces():
            _add_piece(builder, layer, piece)
    return tuple(builder.steps)


def _add_piece(builder: _Builder, plan: LayerPlan, piece: Piece) -> None:
    layer = plan.layer
    words = plan.output_words(piece)
    tiles = layer.output.tiles_of(words)
    weights = _weights(builder, plan, piece)
    source_tiles = (0, layer.source.tiles) if layer.kind is Kind.DENSE else words
    rows_read = layer.rows_read(piece.row, piece.row + piece.rows)
    source = _fetched(builder, f"{layer.name} source", plan.source, layer.source, source_tiles, rows_read)
    residual = _residual(builder, plan, piece, words)
    target = _target(builder, plan, piece, tiles)
    execute = Exec(
        layer=layer,
        source=source.block,
        source_row=source.row,
        source_rows=source.rows,
        target=target,
        residual=residual,
        row=piece.row,
        weights=weights,
        grouping=_grouping(builder, plan, residual, target),
        words=words[1] - words[0],
        sub_tiles=plan.sub_tiles,
    )
    builder.steps.append(execute)
    if layer.output.region.name in builder.plan.offchip:
        _add_move(builder, Opcode.STORE, layer.node, layer.output, target, tiles, piece.row)


def _grouping(builder: _Builder, plan: LayerPlan, residual: Block | None, target: Block) -> Grouping:
    if residual is None:
        return plan.grouping
    return with_fast_residual(
        plan.grouping, plan.layer, target.rows, raster(residual), raster(target), builder.plan.configuration
    )


def _residual(builder: _Builder, plan: LayerPlan, piece: Piece, words: Span) -> Block | None:
    residual = plan.layer.residual
    if residual is None or plan.residual is None:
        return None
    rows, tiles = (piece.row, piece.row + piece.rows), residual.tiles_of(words)
    return _fetched(builder, f"{plan.layer.name} residual", plan.residual, residual, tiles, rows).block


def _target(builder: _Builder, plan: LayerPlan, piece: Piece, tiles: Span) -> Block:
    output, count = plan.layer.output, tiles[1] - tiles[0]
    if plan.target.is_whole:
        (buffer,) = plan.target.buffers
        return Block(
            buffer=buffer, tile=output.first_tile + tiles[0], tiles=count, row=piece.row, rows=piece.rows
        )
    buffer = builder.turn(f"{plan.layer.name} target", plan.target)
    return Block(buffer=buffer, tile=0, tiles=count, row=0, rows=piece.rows, is_whole=True)


def _fetched(builder: _Builder, key: str, place: Place, taken: Map, tiles: Span, rows: Span) -> _Strip:
    """Where tiles and rows of a map are found, after the loads that they need."""
    if place.is_whole:
        return _whole(builder, place, taken, tiles, rows)
    if key in builder.strips and builder.strips[key][0] == (tiles, rows):
        return builder.strips[key][1]
    buffer = builder.turn(key, place)
    block = Block(
        buffer=buffer, tile=0, tiles=tiles[1] - tiles[0], row=0, rows=rows[1] - rows[0], is_whole=True
    )
    _add_move(builder, Opcode.LOAD, key, taken, block, tiles, rows[0])
    strip = _Strip(block=block, row=rows[0], rows=rows[1] - rows[0])
    builder.strips[key] = (tiles, rows), strip
    return strip


def _whole(builder: _Builder, place: Place, taken: Map, tiles: Span, rows: Span) -> _Strip:
    (buffer,) = place.buffers
    if taken.region == builder.plan.network.input.region and rows[1] > builder.input_rows:
        first = builder.input_rows
        fresh = Block(buffer=buffer, tile=0, tiles=taken.tiles, row=first, rows=rows[1] - first)
        _add_move(builder, Opcode.LOAD, taken.name, taken, fresh, (0, taken.tiles), first)
        builder.input_rows = rows[1]
    block = Block(
        buffer=buffer,
        tile=taken.first_tile + tiles[0],
        tiles=tiles[1] - tiles[0],
        row=rows[0],
        rows=rows[1] - rows[0],
    )
    return _Strip(block=block, row=0, rows=taken.height)


def _add_move(
    builder: _Builder, opcode: Opcode, node: str, moved: Map, chip: Block, tiles: Span, row: int
) -> None:
    ddr = Block(
        buffer=builder.plan.offchip[moved.region.name],
        tile=moved.first_tile + tiles[0],
        tiles=tiles[1] - tiles[0],
        row=row,
        rows=chip.rows,
    )
    builder.steps.append(Move(opcode=opcode, node=node, chip=chip, ddr=ddr, width=moved.width))


def _weights(builder: _Builder, plan: LayerPlan, piece: Piece) -> Buffer:
    """Lines of a piece's weights, after the load that brings them unless they are there."""
    layer, span = plan.layer, (piece.first_pass, piece.end_pass)
    if layer.kind is Kind.MAX:
        return _zero_line(builder, layer.node)
    key = f"{layer.name} {span}" if builder.image.stays else layer.name
    if key in builder.weights and builder.weights[key][0] == span:
        return builder.weights[key][1]
    lines = _lines(builder, layer, span)
    builder.weights[key] = span, lines
    for load in _weight_loads(builder, layer, span, lines):
        builder.steps.append(load)
    return lines


def _zero_line(builder: _Builder, node: str) -> Buffer:
    if ZERO_LINE.name not in builder.weights:
        builder.weights[ZERO_LINE.name] = (0, 1), ZERO_LINE
        beats = builder.plan.configuration.po
        builder.steps.append(LoadWeights(node=node, lines=ZERO_LINE, word=0, beats=beats, once=True))
    return ZERO_LINE


def _lines(builder: _Builder, layer: Layer, span: Span) -> Buffer:
    """Lines for some passes of a layer: their own if all weights stay, else the next of the ring."""
    count = (span[1] - span[0]) * pass_lines(layer)
    name = f"weights of {layer.name} {span}"
    if builder.image.stays:
        line = builder.image.layers[layer.name].line + span[0] * pass_lines(layer)
        return Buffer(name=name, memory=Memory.WEIGHTS, line=line, lines=count)
    if builder.next_line + count > builder.plan.configuration.weight_lines:
        builder.next_line = builder.image.pinned_lines  # the ring starts above the line that stays
    lines = Buffer(name=name, memory=Memory.WEIGHTS, line=builder.next_line, lines=count)
    builder.next_line += count
    return lines


def _weight_loads(builder: _Builder, layer: Layer, span: Span, lines: Buffer) -> Iterator[LoadWeights]:
    """Loads of some passes' lines; the parameter lines overwrite the zeros that come with diagonals."""
    image, po = builder.image.layers[layer.name], builder.plan.configuration.po
    words = 1 if image.parameter_word is not None else po  # a line
    yield LoadWeights(
        node=layer.node,
        lines=lines,
        word=image.word + span[0] * pass_lines(layer) * words,
        beats=lines.lines * words,
        once=builder.image.stays,
        diagonal=image.parameter_word is not None,
    )
    if image.parameter_word is not None:
        for index, done in enumerate(range(*span)):
            line = lines.line + index * pass_lines(layer)
            parameters = Buffer(name=f"{lines.name} {done}", memory=Memory.WEIGHTS, line=line, lines=1)
            word = image.parameter_word + done * po
            yield LoadWeights(node=layer.node, lines=parameters, word=word, beats=po, once=False)
