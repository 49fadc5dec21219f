"""A Kubernetes API server without nodes, as local processes: etcd, kube-apiserver, controller manager."""
