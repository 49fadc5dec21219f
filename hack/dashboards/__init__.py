"""The Grafana dashboards as code; hack/generate writes their JSON."""
