// exec_fields: an EXEC descriptor as the values that its processes work with.
// Function:   exec_fields<Config>(descriptor)
// Interface:  plain values, copied into every process
// Latency:    none
// Reset:      none
// Reference:  hls/program/format.py, EXEC
#ifndef BITLATHE_EXEC_FIELDS_HPP
#define BITLATHE_EXEC_FIELDS_HPP

#include "datapath.hpp"
#include "descriptor.hpp"
#include "position.hpp"

namespace bitlathe {

struct ExecFields {
  UInt<4> group_lanes;
  bool row_break, is_max, in_signed, has_residual, res_signed, in_packed, out_packed, res_packed, half_even;
  bool has_table, is_product, hold_weights, repeats;
  UInt<3> sub_tiles, table;
  Int<kCodeBits> lo, hi;
  UInt<8> kernel_h, kernel_w;
  UInt<12> ci_tiles, in_h, in_w, out_h, out_w, out_tiles;
  UInt<kStepBits> stride_h, stride_w, tap_rows, tap_step;
  Int<12> start_y, start_x;
  UInt<16> weight_line, in_plane;
  PixelWalk input, output, residual;
  UInt<16> out_plane, res_plane;
  Position tap_step_position, tap_row_step;
};

template <class Config>
ExecFields exec_fields(const Descriptor &d) {
#pragma HLS INLINE
  ExecFields f;
  f.group_lanes = field<exec::group_lanes>(d);
  f.row_break = field<exec::row_break>(d) != 0;
  f.is_max = field<exec::is_max>(d) != 0;
  f.in_signed = field<exec::in_signed>(d) != 0;
  f.has_residual = field<exec::has_residual>(d) != 0;
  f.res_signed = field<exec::res_signed>(d) != 0;
  f.in_packed = field<exec::in_packed>(d) != 0;
  f.out_packed = field<exec::out_packed>(d) != 0;
  f.res_packed = field<exec::res_packed>(d) != 0;
  f.half_even = field<exec::half_even>(d) != 0;
  f.has_table = field<exec::has_table>(d) != 0;
  f.table = field<exec::table>(d);
  f.is_product = field<exec::is_product>(d) != 0;
  f.hold_weights = field<exec::hold_weights>(d) != 0;
  f.repeats = field<exec::repeat_weights>(d) != 0;
  f.sub_tiles = field<exec::sub_tiles>(d);
  f.lo = signed_field<exec::lo>(d);
  f.hi = signed_field<exec::hi>(d);
  f.kernel_h = field<exec::kernel_h>(d);
  f.kernel_w = field<exec::kernel_w>(d);
  f.ci_tiles = field<exec::ci_tiles>(d);
  f.in_h = field<exec::in_h>(d);
  f.in_w = field<exec::in_w>(d);
  f.out_h = field<exec::out_h>(d);
  f.out_w = field<exec::out_w>(d);
  f.out_tiles = field<exec::out_tiles>(d);
  f.stride_h = stride_h(d);
  f.stride_w = stride_w(d);
  f.tap_rows = field<exec::tap_rows>(d);
  f.tap_step = field<exec::tap_step>(d);
  f.start_y = signed_field<exec::start_y>(d);
  f.start_x = signed_field<exec::start_x>(d);
  f.weight_line = field<exec::weight_line>(d);
  f.in_plane = field<exec::in_plane>(d);
  f.out_plane = field<exec::out_plane>(d);
  f.res_plane = field<exec::res_plane>(d);
  f.tap_step_position = columns_step<Config>(field<exec::tap_step>(d));
  f.tap_row_step = position(signed_field<exec::tap_row_line>(d), field<exec::tap_row_bank>(d));

  f.input.origin = position(signed_field<exec::in_line>(d), field<exec::in_bank>(d));
  f.input.step = columns_step<Config>(stride_w(d));
  f.input.row_step = position(signed_field<exec::in_row_line>(d), field<exec::in_row_bank>(d));
  f.input.map_lines = field<exec::in_tile_step>(d);
  f.output.origin = position(field<exec::out_line>(d), field<exec::out_bank>(d));
  f.output.step = columns_step<Config>(field<exec::out_step>(d));
  f.output.row_step = position(signed_field<exec::out_row_line>(d), field<exec::out_row_bank>(d));
  f.output.map_lines = 0;  // MapWords adds the planes
  f.residual.origin = position(field<exec::res_line>(d), field<exec::res_bank>(d));
  const bool stays = field<exec::res_still>(d) != 0;
  const Position res_row_step = position(signed_field<exec::res_row_line>(d), field<exec::res_row_bank>(d));
  f.residual.step = position(0, stays ? 0 : 1);
  f.residual.row_step = stays ? position(0, 0) : res_row_step;
  f.residual.map_lines = 0;
  f.input.rows = f.output.rows = f.residual.rows = field<exec::out_h>(d);
  f.input.columns = f.output.columns = f.residual.columns = field<exec::out_w>(d);
  return f;
}

}  // namespace bitlathe

#endif
