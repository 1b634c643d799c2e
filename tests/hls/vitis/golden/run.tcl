# run.tcl: synthesize and export bitlathe_engine for pynq-z2; generated, do not edit
# Run by:  vitis_hls -f run.tcl (2022.2 to 2024.1), vitis-run --mode hls --tcl run.tcl (2023.2 and later)
set stages [list csynth export]
if {[info exists ::env(BITLATHE_STAGES)]} {
  set stages [split $::env(BITLATHE_STAGES) ,]
}

# An export of a synthesis that an earlier run finished starts from what that left.
set fresh [expr {[lsearch $stages csynth] >= 0 ? "-reset" : ""}]
open_project {*}$fresh hls
set_top bitlathe_engine
add_files src/engine_top.cpp -cflags "-std=c++11 -I[file normalize [file dirname src/engine_top.cpp]]"
open_solution {*}$fresh -flow_target vivado solution1
set_part {xc7z020clg400-1}
create_clock -period 10.000 -name default
set_clock_uncertainty 1.250
# Every pointer register is 64 bits wide, as the register map has it.
config_interface -m_axi_addr64
config_compile -name_max_length 80

foreach stage $stages {
  puts "BITLATHE stage $stage"
  switch $stage {
    csynth {csynth_design}
    export {export_design -format ip_catalog -vendor bitlathe -library hls -version 1.0}
    default {error "unknown stage $stage: choose csynth or export"}
  }
}
puts "BITLATHE done"
exit
