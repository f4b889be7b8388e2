{{/* For the autodiscovery of the agent: https://docs.datadoghq.com/containers/kubernetes/integrations */}}
{{- define "tidemark.datadogAnnotations" -}}
{{- with .Values.datadog }}
{{- if .enabled }}
{{- if eq .metrics "openmetrics" }}
ad.datadoghq.com/tidemark.checks: |
  {"openmetrics": {"init_config": {}, "instances": [{
    "openmetrics_endpoint": "http://%%host%%:7480/metrics",
    "namespace": "",
    "metrics": ["^tidemark_.+"]
  }]}}
{{- end }}
{{- if .logs }}
ad.datadoghq.com/tidemark.logs: '[{"source": "tidemark", "service": {{ .service | default (include "tidemark.fullname" $) | toJson }}}]'
{{- end }}
{{- end }}
{{- end }}
{{- end }}
