{{- define "tidemark.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Of all objects. 38 characters: a StatefulSet's pods carry a label of its name and a hash, and get names of it. */}}
{{- define "tidemark.fullname" -}}
{{- $name := include "tidemark.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 38 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 38 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 38 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tidemark.headless" -}}
{{ include "tidemark.fullname" . }}-headless
{{- end }}

{{- define "tidemark.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* What finds the nodes; may never change. */}}
{{- define "tidemark.selector" -}}
app.kubernetes.io/name: {{ include "tidemark.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "node") */}}
{{- define "tidemark.labels" -}}
{{- $root := .root -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "tidemark.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tidemark
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods: without the version of the chart, since a change of them replaces every pod. */}}
{{- define "tidemark.podLabels" -}}
app.kubernetes.io/name: {{ include "tidemark.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tidemark
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Datadog's unified service tags; on the pods and on what makes them. */}}
{{- define "tidemark.datadogLabels" -}}
{{- if .Values.datadog.enabled }}
tags.datadoghq.com/env: {{ .Values.datadog.env | quote }}
tags.datadoghq.com/service: {{ .Values.datadog.service | default (include "tidemark.fullname" .) | quote }}
tags.datadoghq.com/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
{{- end }}
{{- end }}

{{- define "tidemark.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "tidemark.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* Where jobs and tests reach the cluster. */}}
{{- define "tidemark.server" -}}
{{ include "tidemark.fullname" . }}:{{ .Values.service.grpcPort }}
{{- end }}

{{/* Of every pod: identity, security, image secrets, machine. */}}
{{- define "tidemark.podBasics" -}}
serviceAccountName: {{ include "tidemark.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* One container that runs the command line: (dict "root" $ "name" … "args" (list …) "resources" …) */}}
{{- define "tidemark.commandContainer" -}}
- name: {{ .name }}
  image: {{ include "tidemark.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    {{- range .args }}
    - {{ . | toString | quote }}
    {{- end }}
  env:
    - name: TIDEMARK_SERVER
      value: {{ include "tidemark.server" .root | quote }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- toYaml .root.Values.containerSecurityContext | nindent 4 }}
{{- end }}

{{/* Mistakes that span values; the schema has the others. */}}
{{- define "tidemark.check" -}}
{{- with .Values }}
{{- $most := .nodes }}
{{- if ne .autoscaling.mode "none" }}{{ $most = .autoscaling.minNodes }}{{ end }}
{{- if and (eq .log "kafka") (not .dev) (lt (int $most) (int .replication)) }}
{{- fail (printf "%d nodes cannot hold %d copies of each partition: raise nodes (or autoscaling.minNodes), or lower replication" (int $most) (int .replication)) }}
{{- end }}
{{- if and (ne .autoscaling.mode "none") (lt (int .autoscaling.maxNodes) (int .autoscaling.minNodes)) }}
{{- fail "autoscaling.maxNodes is less than autoscaling.minNodes" }}
{{- end }}
{{- if and .podDisruptionBudget.enabled (gt (int .replication) 1) (ge (int .podDisruptionBudget.maxUnavailable) (int .replication)) }}
{{- fail (printf "podDisruptionBudget.maxUnavailable: %d nodes hold every replica of some partition; at most %d (replication - 1)" (int .podDisruptionBudget.maxUnavailable) (sub (int .replication) 1)) }}
{{- end }}
{{- $least := add (int .rollout.preStopSeconds) 20 }}
{{- if lt (int .rollout.terminationGracePeriodSeconds) (int $least) }}
{{- fail (printf "rollout.terminationGracePeriodSeconds must be at least %d: rollout.preStopSeconds, and 20 for the drain" (int $least)) }}
{{- end }}
{{- if and (hasPrefix "file:" .snapshots.url) (not .snapshots.existingClaim) }}
{{- fail "snapshots.existingClaim: name a ReadWriteMany claim, which all nodes mount at the path of the file:/// URL" }}
{{- end }}
{{- end }}
{{- end }}
