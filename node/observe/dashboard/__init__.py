"""The Grafana dashboard as code: queries from the metric list, panels, and the document that Grafana imports."""
