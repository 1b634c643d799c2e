"""Steps of a plan in lazy order: loads just before the EXEC that needs them, stores just after the EXEC.

The order is a legal one for a machine that takes one step at a time; `dependencies` finds out which of it
matters, and `schedule` moves the loads forward.
"""

from dataclasses import dataclass, field, replace

from bitlathe.hls.compile.fast_residual import raster, still_raster, with_fast_residual
from bitlathe.hls.compile.followers import Follower
from bitlathe.hls.compile.groups import Grouping, sweep
from bitlathe.hls.compile.memory import Block, Buffer, Span, StoreKind
from bitlathe.hls.compile.network import Layer, LayerKind, Map, Stage
from bitlathe.hls.compile.plan import EnginePlan, MapPlace, Piece, StagePlan
from bitlathe.hls.compile.steps import CODEBOOK, AnyStep, ExecStep, LoadWeightsStep, MoveStep
from bitlathe.hls.compile.weights import WeightImage, pass_lines, table_words
from bitlathe.hls.program import Encoding, Opcode
from bitlathe.hls.target.config import TABLES

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
    tables: dict[bytes, Buffer] = field(default_factory=dict)  # in their memory, the last taken last
    turns: dict[str, int] = field(default_factory=dict)  # strips taken so far, by place

    def turn(self, place: MapPlace) -> Buffer:
        """The next of a place's buffers."""
        index = self.turns.get(place.name, 0)
        self.turns[place.name] = index + 1
        return place.buffers[index % len(place.buffers)]


def build_steps(plan: EnginePlan, image: WeightImage) -> tuple[AnyStep, ...]:
    """Steps of a plan in lazy order."""
    builder = _Builder(plan=plan, image=image, next_line=image.pinned_lines)
    for stage in plan.stages:
        if stage.follower is None:
            for piece in stage.pieces():
                _add_piece(builder, stage, piece)
        else:
            _add_in_turns(builder, stage, stage.follower)
    return tuple(builder.steps)


def _add_in_turns(builder: _Builder, plan: StagePlan, follower: StagePlan) -> None:
    """A stage's strips, each with the follower's behind it, which finds it where it was made."""
    pair = Follower(maker=plan.stage, stage=follower.stage)
    for piece in follower.pieces():
        rows = pair.rows_made((piece.row, piece.row + piece.rows))
        block = _add_piece(builder, plan, plan.piece_for(rows))
        strip = _Strip(block=block, row=rows[0], rows=rows[1] - rows[0])
        builder.strips[follower.source.name] = _source_part(follower.stage, piece), strip
        _add_piece(builder, follower, piece)


def _source_part(stage: Stage, piece: Piece) -> _MapPart:
    """What a piece reads of its source."""
    return _MapPart(
        map=stage.source,
        tiles=stage.source_tiles((piece.first_pass, piece.end_pass)),
        rows=stage.rows_read((piece.row, piece.row + piece.rows)),
    )


def _add_piece(builder: _Builder, plan: StagePlan, piece: Piece) -> Block:
    """The steps of a piece; where it leaves its output."""
    stage, words = plan.stage, plan.output_words(piece)
    rows = (piece.row, piece.row + piece.rows)
    source_part = _source_part(stage, piece)
    source = _fetched(builder, stage.node, plan.source, source_part)
    target_part = _MapPart(map=stage.output, tiles=stage.output.tiles_of(words), rows=rows)
    target = _target(builder, plan.target, target_part)
    for layer, grouping in zip(stage.layers, plan.groupings, strict=True):
        first, end = layer.placed.rows_within(rows)
        if first < end:
            tile = layer.source_tiles((piece.first_pass, piece.end_pass))[0] - source_part.tiles[0]
            work = _Work(layer=layer, grouping=grouping, piece=piece, rows=(first, end), tile=tile)
            _add_exec(builder, plan, work, source, target)
    for home in builder.plan.store_homes.get(stage.output.region.name, ()):
        if home.takes(stage.output):
            stored = target_part.block(home.buffer, home.tiles[0])
            _add_move(builder, Opcode.STORE, stage.node, target, stored)
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A layer's part of a piece."""

    layer: Layer
    grouping: Grouping
    piece: Piece
    rows: Span  # of its own
    tile: int  # of those fetched, that it reads first

    def block(self, piece: Block) -> Block:
        """Its rows of a piece's block, those in between included."""
        step, count = self.layer.placed.step[0], self.rows[1] - self.rows[0]
        row = self.layer.placed.origin[0] + step * self.rows[0] - self.piece.row
        return replace(piece, row=piece.row + row, rows=(count - 1) * step + 1)


def _add_exec(builder: _Builder, plan: StagePlan, work: _Work, source: _Strip, target: Block) -> None:
    layer, piece = work.layer, work.piece
    first, end = plan.output_words(piece)
    tiles = layer.source_tiles((piece.first_pass, piece.end_pass))
    weights, table = _weights(builder, layer, piece), _table(builder, layer)
    residual = _residual(builder, plan, work)
    written = work.block(target)
    execute = ExecStep(
        layer=layer,
        source=replace(source.block, tile=source.block.tile + work.tile, tiles=tiles[1] - tiles[0]),
        source_row=source.row,
        source_rows=source.rows,
        target=written,
        residual=residual,
        row=work.rows[0],
        rows=work.rows[1] - work.rows[0],
        weights=weights,
        table=table,
        grouping=_grouping(builder, work, source, residual, written),
        words=end - first,
        sub_tiles=plan.sub_tiles,
    )
    builder.steps.append(execute)


def _grouping(
    builder: _Builder, work: _Work, source: _Strip, residual: Block | None, target: Block
) -> Grouping:
    layer, grouping = work.layer, work.grouping
    if residual is None:
        return grouping
    strip = replace(
        sweep(layer, grouping),
        out_h=work.rows[1] - work.rows[0],
        start_y=work.rows[0] * layer.stride[0] - layer.window.padding[0] - source.row,
        in_h=source.rows,
    )
    column = layer.placed.origin[1]
    read = still_raster(residual) if layer.residual_is_still else raster(residual, column)
    return with_fast_residual(
        grouping, layer, strip, read, raster(target, column), builder.plan.configuration
    )


def _residual(builder: _Builder, plan: StagePlan, work: _Work) -> Block | None:
    residual, piece = plan.stage.residual, work.piece
    if residual is None or plan.residual is None:
        return None
    tiles = residual.tiles_of(plan.output_words(piece))
    rows = plan.stage.residual_rows((piece.row, piece.row + piece.rows))
    part = _MapPart(map=residual, tiles=tiles, rows=rows)
    block = _fetched(builder, plan.stage.node, plan.residual, part).block
    return block if work.layer.residual_is_still else work.block(block)


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
        image = builder.plan.network.input
        fresh = _MapPart(map=image, tiles=(0, image.tiles), rows=rows)
        home = builder.plan.load_homes[part.map.region.name]
        _add_move(builder, Opcode.LOAD, node, fresh.block(buffer), fresh.block(home))
        builder.input_rows = part.rows[1]
    return _Strip(block=part.block(buffer), row=0, rows=part.map.height)


def _add_move(builder: _Builder, opcode: Opcode, node: str, chip: Block, ddr: Block) -> None:
    builder.steps.append(MoveStep(opcode=opcode, node=node, chip=chip, ddr=ddr))


def _weights(builder: _Builder, layer: Layer, piece: Piece) -> Buffer:
    """Lines of a layer's weights for a piece, after the load that brings them unless they are there."""
    span = (0, 1) if layer.repeats_weights else (piece.first_pass, piece.end_pass)
    if layer.kind is LayerKind.MAX:
        return _zero_line(builder, layer.node)
    key = f"{layer.weights} {span}" if builder.image.stays else layer.weights
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
    name = f"weights of {layer.weights} {span}"
    if builder.image.stays:
        line = builder.image.layers[layer.weights].line + span[0] * pass_lines(layer)
        return Buffer(name=name, memory=StoreKind.WEIGHTS, line=line, lines=count)
    if builder.next_line + count > builder.plan.configuration.weight_lines:
        builder.next_line = builder.image.pinned_lines  # the ring starts above the line that stays
    lines = Buffer(name=name, memory=StoreKind.WEIGHTS, line=builder.next_line, lines=count)
    builder.next_line += count
    gone = [key for key, (_, held) in builder.weights.items() if held.meets(lines)]
    for key in gone:
        del builder.weights[key]
    return lines


def _add_weights(builder: _Builder, layer: Layer, span: Span, lines: Buffer) -> None:
    """Loads of some passes' lines, and of the codebook before them unless it is there."""
    image = builder.image.layers[layer.weights]
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
        word=image.word + image.pass_words[span[0]],
        beats=image.pass_words[span[1]] - image.pass_words[span[0]],
        once=builder.image.stays,
        encoding=image.encoding,
        narrow=image.narrow,
        pass_lines=pass_lines(layer) - 1,
    )
    builder.steps.append(load)


def _table(builder: _Builder, layer: Layer) -> Buffer | None:
    """A layer's table, after the load that brings it unless it is there: in place of the least recent."""
    if layer.table is None:
        return None
    held = builder.tables.pop(layer.table, None)
    if held is None:
        words = table_words(builder.plan.configuration)
        free = len(builder.tables)
        held = (
            Buffer(name=f"table {free}", memory=StoreKind.TABLES, line=free * words, lines=words)
            if free < TABLES
            else builder.tables.pop(next(iter(builder.tables)))
        )
        load = LoadWeightsStep(
            node=layer.node,
            lines=held,
            word=builder.image.tables[layer.table],
            beats=words,
            once=builder.image.tables_stay,
            encoding=Encoding.TABLE,
        )
        builder.steps.append(load)
    builder.tables[layer.table] = held
    return held
