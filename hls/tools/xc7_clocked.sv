// Delays, in ps, of the clocked primitives whose own models Yosys' `sta` cannot read: it takes no conditional path.
// The numbers are those of Yosys' xilinx/cells_sim.v, which has them from prjxray-db's artix7 timings (speed grade
// -1), each the longest; a write of distributed RAM shows in the cycle after it.
(* blackbox *)
module FDRE (output Q, input C, CE, D, R);
  parameter INIT = 0, IS_C_INVERTED = 0, IS_D_INVERTED = 0, IS_R_INVERTED = 0;
  specify
    (posedge C => (Q : D)) = 303;
    $setup(D, posedge C, 0);
    $setup(CE, posedge C, 109);
    $setup(R, posedge C, 404);
  endspecify
endmodule

(* blackbox *)
module FDSE (output Q, input C, CE, D, S);
  parameter INIT = 1, IS_C_INVERTED = 0, IS_D_INVERTED = 0, IS_S_INVERTED = 0;
  specify
    (posedge C => (Q : D)) = 303;
    $setup(D, posedge C, 0);
    $setup(CE, posedge C, 109);
    $setup(S, posedge C, 404);
  endspecify
endmodule

(* blackbox *)
module RAM32M (
    output [1:0] DOA, DOB, DOC, DOD,
    input [4:0] ADDRA, ADDRB, ADDRC, ADDRD,
    input [1:0] DIA, DIB, DIC, DID,
    input WCLK, WE
);
  parameter [63:0] INIT_A = 0, INIT_B = 0, INIT_C = 0, INIT_D = 0;
  parameter [0:0] IS_WCLK_INVERTED = 0;
  specify
    (ADDRA *> DOA) = 642;
    (ADDRB *> DOB) = 642;
    (ADDRC *> DOC) = 642;
    (ADDRD *> DOD) = 642;
    (posedge WCLK => (DOA : DIA)) = 1188;
    (posedge WCLK => (DOB : DIB)) = 1188;
    (posedge WCLK => (DOC : DIC)) = 1188;
    (posedge WCLK => (DOD : DID)) = 1188;
    $setup(ADDRD, posedge WCLK, 245);
    $setup(DIA, posedge WCLK, 461);
    $setup(DIB, posedge WCLK, 461);
    $setup(DIC, posedge WCLK, 461);
    $setup(DID, posedge WCLK, 461);
    $setup(WE, posedge WCLK, 654);
  endspecify
endmodule

// Its models have no delays: those of the four LUTs and the two levels of dedicated multiplexers that it is made of.
(* blackbox *)
module RAM256X1S (output O, input [7:0] A, input D, WCLK, WE);
  parameter INIT = 0, IS_WCLK_INVERTED = 0;
  specify
    (A *> O) = 963;
    (posedge WCLK => (O : D)) = 1509;
    $setup(A, posedge WCLK, 245);
    $setup(D, posedge WCLK, 461);
    $setup(WE, posedge WCLK, 654);
  endspecify
endmodule
