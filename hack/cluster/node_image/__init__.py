"""The image of a kind node: kindest/node where it can be pulled, else built from Go modules and Debian packages.

The built image differs from the public one in its network plugin. kindnet is no Go module, so kube-router takes its
place: one program that gives each node a subnet, routes between nodes and enforces NetworkPolicy. (flannel has no
policies; Cilium and Calico need a C toolchain for eBPF or many images.)
"""

from hack.cluster.node_image.build import NodeImage, node_image

__all__ = ["NodeImage", "node_image"]
