{{- /* Every object is named so: the platform's proxy finds the Service by it. What there can be two of in a namespace
       has a word more. */ -}}
{{- define "continuum.name" -}}continuum-controller{{- end }}

{{- define "continuum.selectorLabels" -}}
app.kubernetes.io/name: continuum-controller
app.kubernetes.io/component: controller
catalyst.openova.io/controller: continuum
{{- end }}

{{- define "continuum.labels" -}}
{{ include "continuum.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "continuum.image" -}}
{{- $image := .Values.continuum.image -}}
{{- with .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}:{{ $image.tag }}
{{- end }}

{{- /* Whether the controller itself runs here: "true" or nothing. */ -}}
{{- define "continuum.runs" -}}
{{- if and .Values.continuum.enabled .Values.continuum.controller.enabled }}true{{ end }}
{{- end }}

{{- define "continuum.secretsNamespace" -}}
{{- .Values.continuum.secretsNamespace | default .Release.Namespace }}
{{- end }}

{{- define "continuum.leaseNamespace" -}}
{{- .Values.continuum.leaseNamespace | default .Release.Namespace }}
{{- end }}

{{- /* Whether controllers come to the witness as they come to this region anyway: "true" or nothing. */ -}}
{{- define "continuum.witnessIsHere" -}}
{{- if and (include "continuum.runs" .) .Values.continuum.witnessRegion (eq .Values.continuum.witnessRegion .Values.continuum.region) }}true{{ end }}
{{- end }}

{{- /* Who writes the witness's Leases here: subjects of a RoleBinding. */ -}}
{{- define "continuum.witnessAccounts" -}}
{{- if include "continuum.witnessIsHere" . -}}
continuum-controller{{ if .Values.otherCluster.enabled }},continuum-controller-other{{ end }}
{{- else -}}
continuum-controller-witness
{{- end }}
{{- end }}

{{- /* Whether a pod that elects nobody runs here now: it and one that elects would both drive. "true" or nothing; nothing
       as well where there is no server to ask. */ -}}
{{- define "continuum.runsAlone" -}}
{{- $now := lookup "apps/v1" "Deployment" .Release.Namespace (include "continuum.name" .) | default dict }}
{{- range dig "spec" "template" "spec" "containers" list $now }}
{{- range .env }}{{ if and (eq .name "LEADER_ELECT") (eq (.value | default "") "false") }}true{{ end }}{{ end }}
{{- end }}
{{- end }}

{{- /* What the process reads as files: folder by folder the secret and its key, a map as YAML. */ -}}
{{- define "continuum.files" -}}
{{- $c := .Values.continuum -}}
{{- range $name, $ref := dict "nats-creds" $c.natsCredsSecretRef "nats-token" $c.natsTokenSecretRef "nats-nkey" $c.natsNkeySecretRef "nats-ca" $c.natsCASecretRef "powerdns-ca" $c.powerdns.caSecretRef "prometheus-ca" $c.latency.caSecretRef "pdm-ca" $c.pdmCASecretRef "otlp-ca" $c.tracing.caSecretRef }}
{{- with $ref }}
{{ $name }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The ports of servers whose addresses stand in the values, by the value: a map as YAML. */ -}}
{{- define "continuum.reached" -}}
{{- with .Values.continuum.powerdns.apiURL }}
continuum.powerdns.apiURL: {{ include "continuum.port" (dict "url" . "default" (ternary 443 8081 (hasPrefix "https:" .))) }}
{{- end }}
{{- with .Values.continuum.pdmURL }}
continuum.pdmURL: {{ include "continuum.port" (dict "url" . "default" (ternary 443 8080 (hasPrefix "https:" .))) }}
{{- end }}
{{- with .Values.continuum.latency.prometheusURL }}
continuum.latency.prometheusURL: {{ include "continuum.port" (dict "url" . "default" (ternary 443 9090 (hasPrefix "https:" .))) }}
{{- end }}
{{- with .Values.continuum.tracing.otlpEndpoint }}
continuum.tracing.otlpEndpoint: {{ include "continuum.port" (dict "url" (regexFind "^[a-z]+://[^/]+" .) "default" (ternary 443 80 (hasPrefix "https:" .))) }}
{{- end }}
{{- range $index, $url := splitList "," (.Values.continuum.natsURL | default "") }}
{{- with trim $url }}
{{ printf "URL %d of continuum.natsURL" (add $index 1) }}: {{ include "continuum.port" (dict "url" . "default" 4222) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of: url, default. */ -}}
{{- define "continuum.port" -}}
{{- regexFind ":[0-9]+/?$" .url | trimPrefix ":" | trimSuffix "/" | default .default }}
{{- end }}
