{{/* For the autodiscovery of the agent: https://docs.datadoghq.com/containers/kubernetes/integrations */}}
{{- define "tidemark.datadogAnnotations" -}}
{{- with .Values.datadog }}
{{- if .enabled }}
{{- if .logs }}
ad.datadoghq.com/tidemark.logs: '[{"source": "tidemark", "service": {{ .service | default (include "tidemark.fullname" $) | toJson }}}]'
{{- end }}
{{- end }}
{{- end }}
{{- end }}
