"""Scripts for the vendors' shells, run by Tcl with a stand-in for every command that a release documents."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = Path(__file__).with_name("vendor_commands.toml").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Any] = tomllib.loads(_TABLE)
# Python brings a Tcl too, as an option of its build.
BY_PYTHON = "import sys, tkinter; t = tkinter.Tcl(); t.evalfile(sys.argv[1]); t.eval('flush stdout')"
TCL = ["tclsh"] if shutil.which("tclsh") else [sys.executable, "-c", BY_PYTHON]
NUMBER = re.compile(r"-?\d+(\.\d+)?$")

# A stand-in tells its call and answers as a tool that succeeds would; a command without one is Tcl's error.
PROPERTIES = {"PROGRESS": "100%", "STATS.WNS": "0.25", "STATS.WHS": "0.01", "CONFIG.FREQ_HZ": "142857142"}
PRELUDE = """
set properties {PROPERTIES}
proc answer {name arguments} {
  switch $name {
    get_property {
      set asked [lindex $arguments 0]
      if {[dict exists $::properties $asked]} { return [dict get $::properties $asked] }
    }
    get_bd_addr_segs {return {engine/m/SEG_ps_DDR_LOW engine/m/SEG_ps_OCM}}
    get_board_parts {return {vendor:board:1.0 vendor:board:1.1}}
    make_wrapper {return wrapper.v}
  }
  return stub
}
proc exit {args} {}
rename file _file
proc file {verb args} { if {$verb eq "copy"} { puts "COPY $args"; return } ; _file $verb {*}$args }
proc glob {args} { return [lindex $args end] }
foreach name {KNOWN} {
  proc $name {args} [string map [list NAME $name] {
    puts "CALL [join [lmap word [list NAME {*}$args] {binary encode hex [encoding convertto utf-8 $word]}] ,]"
    answer NAME $args
  }]
}
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """A vendor's shell of a release."""

    tool: str
    release: str

    @property
    def commands(self) -> dict[str, Any]:
        """The commands that its guide documents."""
        every = COMMANDS[self.tool]["commands"]
        return {name: command for name, command in every.items() if self._has(command)}

    def tried(
        self, script: str, folder: Path, properties: Mapping[str, str] = PROPERTIES
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in a tool with these properties; it prints COPY for each file that it copies."""
        told = " ".join(word for pair in properties.items() for word in pair)
        stand_ins = PRELUDE.replace("KNOWN", " ".join(self.commands)).replace("PROPERTIES", told)
        path = folder / "script.tcl"
        path.write_text(stand_ins + script, encoding="utf-8")
        return subprocess.run([*TCL, str(path)], capture_output=True, text=True, cwd=folder)

    def run(self, script: str, folder: Path) -> list[list[str]]:
        """The words of each call that a script makes, or AssertionError with Tcl's complaint."""
        done = self.tried(script, folder)
        assert done.returncode == 0, f"{self.tool} {self.release}: {done.stderr}"
        assert "BITLATHE done" in done.stdout
        lines = [line[5:] for line in done.stdout.splitlines() if line.startswith("CALL ")]
        return [[bytes.fromhex(word).decode() for word in line.split(",")] for line in lines]

    def objections(self, calls: Sequence[Sequence[str]]) -> list[str]:
        """What is wrong with calls, by the documented syntax."""
        return [
            f"{self.tool} {self.release}: {' '.join(call)}: {what}"
            for call in calls
            for what in self._wrong(call)
        ]

    def _has(self, command: Mapping[str, Any]) -> bool:
        since, until = command.get("since"), command.get("until")
        is_old = isinstance(since, str) and self.release < since
        return not is_old and not (until is not None and self.release > until)

    def _wrong(self, call: Sequence[str]) -> list[str]:
        name, *words = call
        command = self.commands[name]
        flags = {*command.get("flags", ()), *COMMANDS[self.tool]["flags"]}
        since = command.get("since", {})
        found, others = [], 0
        while words:
            word = words.pop(0)
            option, has_value, value = word.partition("=")
            if not word.startswith("-") or NUMBER.match(word):
                others += 1
            elif isinstance(since, Mapping) and self.release < since.get(word, ""):
                found.append(f"{word} is newer")
            elif option in command.get("switches", ()):
                found += (
                    [f"{option} is true or false"] if has_value and value not in ("true", "false") else []
                )
            elif word in command.get("options", ()):
                value = words.pop(0) if words else ""
                found += _wrong_value(word, value, command)
                if word == "-dict" and name == "set_property":
                    found += self._unknown_properties(value.split()[::2])
            elif word not in flags:
                found.append(f"no option {word}")
        if name == "set_property" and others > 1:
            found += self._unknown_properties(call[1:2])
        least, most = command["words"]
        return found if least <= others <= most else [*found, f"{others} words, it takes {least} to {most}"]

    def _unknown_properties(self, names: Sequence[str]) -> list[str]:
        known = COMMANDS[self.tool]["properties"]
        return [
            f"no property {name}" for name in names if not any(re.fullmatch(each, name) for each in known)
        ]


def _wrong_value(option: str, value: str, command: Mapping[str, Any]) -> list[str]:
    if not value or value in (*command.get("flags", ()), *command["options"]):
        return [f"{option} has no value"]
    known = command.get("values", {}).get(option, [".*"])
    if not any(re.fullmatch(each, value) for each in known):
        return [f"{option} {value} is not among its values"]
    return []


SHELLS = [Shell(tool, release) for tool, told in COMMANDS.items() for release in told["releases"]]
