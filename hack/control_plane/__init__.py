"""A Kubernetes API server without nodes, as processes of this machine: etcd, kube-apiserver, controller manager."""
