"""Pictures of the dashboards: Prometheus's data, drawn with matplotlib from the dashboards' JSON."""
