"""An IP as HLS would export it, made of our own SystemVerilog, for the bench on exported Verilog."""

from pathlib import Path

from bitlathe.hls.emit import engine_parameters, engine_sources
from bitlathe.hls.target.config import EngineConfiguration

TEMPLATE = Path(__file__).with_name("bitlathe_engine.v")


def write_ip(folder: Path, configuration: EngineConfiguration, *, wrong: int = 0) -> Path:
    """Fill `folder` with the IP; bits set in `wrong` are wrong in every word that the engine writes."""
    verilog = folder / "hdl" / "verilog"
    verilog.mkdir(parents=True)
    for path in engine_sources():
        (verilog / path.name).write_bytes(path.read_bytes())
    parameters = ",\n".join(
        f"      .{name}(32'd{value})" for name, value in engine_parameters(configuration).items()
    )
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in (("PI", configuration.pi), ("WRONG", wrong), ("PARAMETERS", parameters)):
        text = text.replace(f"@{mark}@", str(value))
    (verilog / "bitlathe_engine.v").write_text(text, encoding="utf-8")
    (folder / "component.xml").write_text("<component/>")
    return folder
