{{- /* The variables of the process, in the order of docs/controller.md. One that is not set is left out: the process
       tells that from an empty one. */ -}}
{{- define "continuum.variables" -}}
{{- $c := .Values.continuum -}}
- name: CATALYST_REGION
  value: {{ $c.region | quote }}
{{- with $c.regionKubeconfigsSecret }}
- name: REGION_KUBECONFIGS_SECRET
  value: {{ . | quote }}
{{- end }}
{{- with $c.witnessSecret }}
- name: WITNESS_SECRET
  value: {{ . | quote }}
{{- end }}
{{- with $c.witnessRegion }}
- name: WITNESS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with $c.witnessBucket }}
- name: WITNESS_BUCKET
  value: {{ . | quote }}
{{- end }}
- name: WITNESS_SECRET_NS
  value: {{ include "continuum.secretsNamespace" . | quote }}
- name: CATALYST_LEASE_NS
  value: {{ include "continuum.leaseNamespace" . | quote }}
- name: CONTINUUM_API_ADDR
  value: {{ if $c.api.port }}{{ printf ":%v" $c.api.port | quote }}{{ else }}""{{ end }}
{{- with $c.api.tokenSecretRef }}
- name: CONTINUUM_API_TOKEN
  {{- include "continuum.fromSecret" . | nindent 2 }}
{{- end }}
- name: CONTINUUM_HEALTH_DELAY_SECONDS
  value: {{ $c.health.postSwitchoverDelaySeconds | quote }}
- name: HEALTH_ADDR
  value: {{ printf ":%v" $c.health.port | quote }}
- name: METRICS_ADDR
  value: {{ if $c.metrics.enabled }}{{ printf ":%v" $c.metrics.port | quote }}{{ else }}""{{ end }}
- name: LEADER_ELECT
  value: {{ $c.leaderElection.enabled | quote }}
{{- if $c.leaderElection.enabled }}
- name: LEADER_ELECT_NS
  value: {{ .Release.Namespace | quote }}
{{- end }}
- name: CLUSTER_DOMAIN
  value: {{ $c.clusterDomain | quote }}
- name: CONTINUUM_VANTAGES
  value: {{ join "," $c.vantages | quote }}
- name: LOG_LEVEL
  value: {{ $c.logs.level | quote }}
- name: LOG_FORMAT
  value: {{ $c.logs.format | quote }}
{{- if $c.natsURLSecretRef }}
- name: NATS_URL
  {{- include "continuum.fromSecret" $c.natsURLSecretRef | nindent 2 }}
{{- else if $c.natsURL }}
- name: NATS_URL
  value: {{ $c.natsURL | quote }}
{{- end }}
{{- with $c.natsCredsSecretRef }}
- name: NATS_CREDS_FILE
  value: /etc/continuum/nats-creds/{{ .key }}
{{- end }}
{{- with $c.natsTokenSecretRef }}
- name: NATS_TOKEN_FILE
  value: /etc/continuum/nats-token/{{ .key }}
{{- end }}
{{- with $c.natsNkeySecretRef }}
- name: NATS_NKEY_FILE
  value: /etc/continuum/nats-nkey/{{ .key }}
{{- end }}
{{- with $c.natsCASecretRef }}
- name: NATS_CA_FILE
  value: /etc/continuum/nats-ca/{{ .key }}
{{- end }}
{{- with $c.powerdns.apiURL }}
- name: POWERDNS_API_URL
  value: {{ . | quote }}
{{- end }}
{{- with $c.powerdns.caSecretRef }}
- name: POWERDNS_CA_FILE
  value: /etc/continuum/powerdns-ca/{{ .key }}
{{- end }}
{{- with $c.powerdns.apiKeySecretRef }}
- name: POWERDNS_API_KEY
  {{- include "continuum.fromSecret" . | nindent 2 }}
{{- end }}
{{- with $c.latency.prometheusURL }}
- name: PROMETHEUS_URL
  value: {{ . | quote }}
{{- end }}
{{- with $c.latency.caSecretRef }}
- name: PROMETHEUS_CA_FILE
  value: /etc/continuum/prometheus-ca/{{ .key }}
{{- end }}
{{- with $c.latency.query }}
- name: PROMETHEUS_LATENCY_QUERY
  value: {{ . | quote }}
{{- end }}
{{- with $c.tracing.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with $c.tracing.caSecretRef }}
- name: OTEL_EXPORTER_OTLP_CERTIFICATE
  value: /etc/continuum/otlp-ca/{{ .key }}
{{- end }}
{{- with $c.tracing.headersSecretRef }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  {{- include "continuum.fromSecret" . | nindent 2 }}
{{- end }}
{{- if $c.tracing.otlpEndpoint }}
- name: OTEL_SERVICE_NAME
  value: {{ $c.tracing.serviceName | quote }}
{{- end }}
{{- with $c.pdmURL }}
- name: PDM_API_URL
  value: {{ . | quote }}
{{- end }}
{{- with $c.pdmCASecretRef }}
- name: PDM_CA_FILE
  value: /etc/continuum/pdm-ca/{{ .key }}
{{- end }}
{{- with $c.pdmTokenSecretRef }}
- name: PDM_AUTH_TOKEN
  {{- include "continuum.fromSecret" . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The same, and what the values add. */ -}}
{{- define "continuum.env" -}}
{{ include "continuum.variables" . }}
{{- range $name, $value := .Values.continuum.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "continuum.fromSecret" -}}
valueFrom:
  secretKeyRef:
    name: {{ .name | quote }}
    key: {{ .key | quote }}
{{- end }}
