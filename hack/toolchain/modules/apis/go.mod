module mcq-operator.dev/hack/cluster/tools/apis

go 1.26

require (
	github.com/kedacore/keda/v2 v2.16.1
	github.com/prometheus-operator/prometheus-operator v0.91.0
	sigs.k8s.io/gateway-api v1.4.0
)
