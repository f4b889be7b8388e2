{{/* The settings that are the same for all nodes and no secret. */}}
{{- define "tidemark.settings" -}}
TIDEMARK_LOG: {{ .Values.log }}
{{- if eq .Values.log "kafka" }}
TIDEMARK_KAFKA_BROKERS: {{ join "," .Values.kafka.brokers | quote }}
{{- with .Values.kafka.tls }}
{{- if .enabled }}
TIDEMARK_KAFKA_TLS: '1'
{{- if .ca.existingSecret }}
TIDEMARK_KAFKA_TLS_CA_FILE: /etc/tidemark/kafka-ca/{{ .ca.key }}
{{- end }}
{{- if .client.existingSecret }}
TIDEMARK_KAFKA_TLS_CERT_FILE: /etc/tidemark/kafka-client/{{ .client.certKey }}
TIDEMARK_KAFKA_TLS_KEY_FILE: /etc/tidemark/kafka-client/{{ .client.keyKey }}
{{- if .client.passphraseKey }}
TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE_FILE: /etc/tidemark/kafka-client/{{ .client.passphraseKey }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.kafka.sasl }}
{{- if .mechanism }}
TIDEMARK_KAFKA_SASL_MECHANISM: {{ .mechanism }}
{{- if .username }}
TIDEMARK_KAFKA_SASL_USERNAME: {{ .username | quote }}
{{- else }}
TIDEMARK_KAFKA_SASL_USERNAME_FILE: /etc/tidemark/kafka-sasl/{{ .usernameKey }}
{{- end }}
TIDEMARK_KAFKA_SASL_PASSWORD_FILE: /etc/tidemark/kafka-sasl/{{ .passwordKey }}
{{- end }}
{{- end }}
{{- end }}
TIDEMARK_CLUSTER: {{ .Values.cluster | quote }}
TIDEMARK_PARTITIONS: {{ .Values.partitions | quote }}
TIDEMARK_REPLICATION: {{ .Values.replication | quote }}
{{- if .Values.dev }}
TIDEMARK_DEV: '1'
{{- end }}
TIDEMARK_LOG_LEVEL: {{ .Values.logLevel }}
TIDEMARK_DATA_DIR: /var/lib/tidemark
TIDEMARK_GRPC_LISTEN: 0.0.0.0:7400
TIDEMARK_HTTP_LISTEN: 0.0.0.0:7480
{{- with .Values.snapshots }}
{{- if .url }}
TIDEMARK_SNAPSHOT_URL: {{ .url | quote }}
{{- if .s3Endpoint }}
TIDEMARK_SNAPSHOT_S3_ENDPOINT: {{ .s3Endpoint | quote }}
{{- end }}
{{- if .region }}
AWS_REGION: {{ .region | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.zone.name }}
TIDEMARK_ZONE: {{ .Values.zone.name | quote }}
{{- end }}
{{- with .Values.traces }}
{{- if .endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint | quote }}
OTEL_TRACES_SAMPLER: {{ .sampler }}
OTEL_TRACES_SAMPLER_ARG: {{ .ratio | quote }}
{{- if .headers.existingSecret }}
OTEL_EXPORTER_OTLP_HEADERS_FILE: /etc/tidemark/otlp-headers/{{ .headers.key }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What differs from node to node, or is asked of Kubernetes. */}}
{{- define "tidemark.nodeEnv" -}}
- name: TIDEMARK_NODE_ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: TIDEMARK_GRPC_ADVERTISE
  value: $(TIDEMARK_NODE_ID).{{ include "tidemark.headless" . }}.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}:7400
{{- if and (not .Values.zone.name) .Values.zone.fromPodLabel }}
- name: TIDEMARK_ZONE
  valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''{{ .Values.zone.fromPodLabel }}'']'}}
{{- end }}
- name: NODE_OPTIONS
  value: --enable-source-maps --max-old-space-size={{ .Values.heapMegabytes }}
{{- if .Values.datadog.enabled }}
{{- range tuple "env" "service" "version" }}
- name: DD_{{ upper . }}
  valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''tags.datadoghq.com/{{ . }}'']'}}
{{- end }}
{{- if .Values.datadog.metrics }}
- name: DD_ENTITY_ID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- if .Values.datadog.dogstatsdUrl }}
- name: DD_DOGSTATSD_URL
  value: {{ .Values.datadog.dogstatsdUrl | quote }}
{{- else }}
- name: DD_AGENT_HOST
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Files that settings point to: (list of name, secret, directory) */}}
{{- define "tidemark.secrets" -}}
{{- if eq .Values.log "kafka" }}
{{- with .Values.kafka }}
{{- if and .tls.enabled .tls.ca.existingSecret }}
- {name: kafka-ca, secret: {secretName: {{ .tls.ca.existingSecret }}, defaultMode: 288}}
{{- end }}
{{- if and .tls.enabled .tls.client.existingSecret }}
- {name: kafka-client, secret: {secretName: {{ .tls.client.existingSecret }}, defaultMode: 288}}
{{- end }}
{{- if .sasl.mechanism }}
- {name: kafka-sasl, secret: {secretName: {{ .sasl.existingSecret }}, defaultMode: 288}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.traces }}
{{- if and .endpoint .headers.existingSecret }}
- {name: otlp-headers, secret: {secretName: {{ .headers.existingSecret }}, defaultMode: 288}}
{{- end }}
{{- end }}
{{- end }}
