"""The layers of a project in the making."""

import re
from dataclasses import dataclass, field

from bitlathe.hls.hls4ml.project.plan import ProjectLayer
from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Node


@dataclass(slots=True, kw_only=True)
class Lowering:
    """Layers so far, and which of them makes which tensor."""

    graph: Graph
    ranges: dict[str, CodeRange]
    layers: dict[str, ProjectLayer] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)  # tensor -> layer that makes it

    def home(self, tensor: str) -> ProjectLayer:
        """Layer that makes a tensor."""
        return self.layers[self.homes[tensor]]

    def add(self, wanted: str, node: Node, **fields: object) -> ProjectLayer:
        """Add a layer under the name wanted, or one like it."""
        layer = ProjectLayer(name=self._name(wanted), node=node.name, **fields)  # type: ignore[arg-type]  # Layer's fields
        self.layers[layer.name] = layer
        return layer

    def as_map(self, tensor: str, node: Node) -> ProjectLayer:
        """Layer that gives a tensor as (height, width, channels)."""
        home = self.home(tensor)
        return (
            home
            if len(home.shape) == 3
            else self._reshape(f"{node.name}_map", home, (1, 1, *home.shape), node)
        )

    def as_vector(self, tensor: str, node: Node) -> ProjectLayer:
        """Layer that gives a tensor as one row, in the order height, width, channels."""
        home = self.home(tensor)
        if len(home.shape) == 1:
            return home
        return self._reshape(f"{node.name}_flat", home, (home.size,), node)

    def _reshape(self, name: str, source: ProjectLayer, shape: tuple[int, ...], node: Node) -> ProjectLayer:
        return self.add(
            name,
            node,
            class_name="Reshape",
            inputs=(source.name,),
            shape=shape,
            attributes={"target_shape": list(shape)},
            types={"result": source.types["result"]},
        )

    def _name(self, wanted: str) -> str:
        """A name that hls4ml and C++ take, unused so far."""
        clean = re.sub(r"\W", "_", wanted.lower(), flags=re.ASCII)
        clean = clean if re.match(r"[a-z]", clean) and clean != "input" else f"t_{clean}"
        return clean if clean not in self.layers else self._name(f"{clean}_{len(self.layers)}")
