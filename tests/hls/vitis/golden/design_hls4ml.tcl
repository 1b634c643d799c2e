# design.tcl: a bitstream for zcu104 around the engine network_kernel; generated, do not edit
# Run by:  vivado -mode batch -source design.tcl (2020.1 and later), in this folder; ip/ holds the exported IP, rtl/ holds the sources

set project bitlathe
create_project -force $project vivado -part xczu7ev-ffvc1156-2-e
set boards [get_board_parts -quiet {*zcu104*}]
if {[llength $boards] == 0} {
  error "Vivado knows no board *zcu104*: install its board files, whose preset sets up DDR and clocks"
}
set_property board_part [lindex [lsort -dictionary $boards] end] [current_project]
set_property ip_repo_paths [list [file normalize ip]] [current_project]
update_ip_catalog
add_files -norecurse [list rtl/cycle_counter.v]
update_compile_order -fileset sources_1
create_bd_design design_1

# The processing system: registers behind HPM0_FPD, DDR behind HP0_FPD; the other ports of its preset stay off.
create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list apply_board_preset 1] [get_bd_cells ps]
set_property -dict [list CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__SAXIGP2__DATA_WIDTH 128 CONFIG.PSU__USE__IRQ0 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 187.498] [get_bd_cells ps]
set clock ps/pl_clk0
set reset ps/pl_resetn0
set interrupt ps/pl_ps_irq0
set clock_sinks [list ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk]

# The engine.
create_bd_cell -type ip -vlnv bitlathe:hls:network_kernel:1.0 engine
create_bd_cell -type module -reference cycle_counter counter
connect_bd_net [get_bd_pins counter/count_o] [get_bd_pins engine/counter]
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1] [get_bd_cells control]
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] [get_bd_cells memory]

# One clock for everything.
foreach pin $clock_sinks {
  connect_bd_net [get_bd_pins $clock] [get_bd_pins $pin]
}
foreach pin [list engine/ap_clk counter/clk_i reset/slowest_sync_clk control/aclk memory/aclk] {
  connect_bd_net [get_bd_pins $clock] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins $reset] [get_bd_pins reset/ext_reset_in]
foreach pin [list engine/ap_rst_n counter/rst_ni control/aresetn memory/aresetn] {
  connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}

# Registers, memory, interrupt.
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins engine/s_axi_control]
connect_bd_intf_net [get_bd_intf_pins engine/m_axi_gmem0] [get_bd_intf_pins memory/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins engine/m_axi_gmem1] [get_bd_intf_pins memory/S01_AXI]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0_FPD]
connect_bd_net [get_bd_pins engine/interrupt] [get_bd_pins $interrupt]

assign_bd_address
# A memory port of the processing system reaches more than DDR; the engine needs nothing else.
foreach segment [get_bd_addr_segs -quiet engine/*/SEG_ps_*] {
  if {![string match "*DDR*" $segment]} {
    exclude_bd_addr_seg $segment
  }
}
validate_bd_design
save_bd_design
# What the clock really is: a divided PLL seldom gives the frequency asked for.
puts "BITLATHE clock [get_property CONFIG.FREQ_HZ [get_bd_pins $clock]] Hz"

set wrapper [make_wrapper -top [get_files design_1.bd]]
add_files -norecurse $wrapper
set_property top design_1_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream -jobs 2
# Releases since 2021 can wait for several runs, by another name.
set wait [expr {[llength [info commands wait_on_runs]] ? "wait_on_runs" : "wait_on_run"}]
$wait impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
  error "implementation failed: [get_property STATUS [get_runs impl_1]]; see vivado/$project.runs/impl_1/runme.log"
}
open_run impl_1
report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
foreach {what property mend} {
  setup STATS.WNS "lower clock_mhz in the board's file"
  hold STATS.WHS "run the implementation again with another strategy"
} {
  set slack [get_property $property [get_runs impl_1]]
  puts "BITLATHE worst $what slack $slack ns"
  if {$slack < 0} {
    error "$what time is missed by $slack ns, see timing.rpt: $mend"
  }
}
file copy -force vivado/$project.runs/impl_1/design_1_wrapper.bit bitlathe.bit
# The path of the hardware's description depends on the release.
set found [concat [glob -nocomplain vivado/$project.srcs/sources_1/bd/design_1/hw_handoff/design_1.hwh] [glob -nocomplain vivado/$project.gen/sources_1/bd/design_1/hw_handoff/design_1.hwh]]
if {[llength $found] == 0} {
  error "no design_1.hwh below vivado/: generate the block design's output products"
}
file copy -force [lindex $found 0] bitlathe.hwh
puts "BITLATHE done"
