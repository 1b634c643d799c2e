"""The places that an EXEC goes to, by the steps of (line, bank) that the engine takes."""

from collections.abc import Iterator

from bitlathe.hls.program import Exec
from bitlathe.hls.program.moves import add_positions

Place = tuple[int, int]


def raster(
    one: Exec, place: Place, step: Place, row_step: Place, banks: int
) -> Iterator[tuple[int, int, Place]]:
    """(row, column, place) of every output pixel."""
    for y in range(one.out_h):
        for x in range(one.out_w):
            yield y, x, place
            place = add_positions(place, row_step if x + 1 == one.out_w else step, banks)


def taps(one: Exec, banks: int) -> Iterator[tuple[int, int, Place]]:
    """(row, column, step from the window's origin) of every tap."""
    place = (0, 0)
    for ky in range(one.kernel_h):
        for kx in range(one.kernel_w):
            yield ky * one.tap_rows, kx * one.tap_step, place
            row_ends = kx + 1 == one.kernel_w
            step = (one.tap_row_line, one.tap_row_bank) if row_ends else divmod(one.tap_step, banks)
            place = add_positions(place, step, banks)


def origins(one: Exec, banks: int) -> Iterator[tuple[int, int, Place]]:
    """(row, column, place) of every window's origin; of the map, not of the output."""
    first, step = (one.in_line, one.in_bank), divmod(one.strides[1], banks)
    for y, x, place in raster(one, first, step, (one.in_row_line, one.in_row_bank), banks):
        yield one.start_y + y * one.strides[0], one.start_x + x * one.strides[1], place


def output_pixels(one: Exec, banks: int) -> Iterator[tuple[int, int, Place]]:
    """(row, column, place) of every pixel of the first output plane."""
    step, row_step = divmod(one.out_step, banks), (one.out_row_line, one.out_row_bank)
    return raster(one, (one.out_line, one.out_bank), step, row_step, banks)


def residual_pixels(one: Exec, banks: int) -> Iterator[tuple[int, int, Place]]:
    """The same of the first residual plane."""
    step, row_step = ((0, 0), (0, 0)) if one.res_still else ((0, 1), (one.res_row_line, one.res_row_bank))
    return raster(one, (one.res_line, one.res_bank), step, row_step, banks)
