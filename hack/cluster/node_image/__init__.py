"""The image of a kind node: kindest/node if it can be pulled, else a build from Go modules and Debian packages.

The build differs from the public image in its network plugin. kindnet is not a Go module, so kube-router replaces it:
one program that assigns each node a subnet, routes between nodes and enforces NetworkPolicy. (flannel has no
policies; Cilium and Calico need a C toolchain for eBPF or many images.)
"""

from hack.cluster.node_image.build import NodeImage, node_image

__all__ = ["NodeImage", "node_image"]
