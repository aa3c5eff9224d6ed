{{- /* Names that a rule is for; none where it is for all. Of: names. */ -}}
{{- define "continuum.resourceNames" -}}
{{- if not (has "*" .) }}
  resourceNames: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* What may be done with the objects of one application. Of: entry (of rbac.applications), own (whether for this
       cluster's controller). A list cannot be given for names. docs/controller.md has the table. */ -}}
{{- define "continuum.applicationRules" -}}
{{- with .entry.continuums }}
- apiGroups: [dr.openova.io]
  resources: [continuums]
  {{- include "continuum.resourceNames" . }}
  verbs: [get{{ if $.own }}, patch{{ end }}]
{{- if $.own }}
- apiGroups: [dr.openova.io]
  resources: [continuums/status]
  {{- include "continuum.resourceNames" . }}
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end }}
{{- with .entry.clusters }}
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters]
  {{- include "continuum.resourceNames" . }}
  verbs: [{{ if $.own }}get, {{ end }}patch]
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters, backups]
  verbs: [list]
{{- end }}
{{- with .entry.httpRoutes }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  {{- include "continuum.resourceNames" . }}
  verbs: [get, patch]
{{- end }}
{{- $secrets := .entry.roleSecrets | default list }}
{{- if .own }}{{ $secrets = concat $secrets (.entry.secrets | default list) }}{{ end }}
{{- with $secrets }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ toJson . }}
  verbs: [get]
{{- end }}
{{- end }}

{{- /* What controllers watch, of all namespaces: with one watch for each kind, whatever the number of Continuums. */ -}}
{{- define "continuum.watchRules" -}}
- apiGroups: [dr.openova.io]
  resources: [continuums]
  verbs: [list, watch]
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch]
{{- end }}

{{- /* A role with its binding to accounts of the release's namespace. Of: root, name, namespace (empty: of the whole
       cluster), accounts, rules. */ -}}
{{- define "continuum.role" -}}
{{- $scope := ternary "" "Cluster" (ne .namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "continuum.labels" .root | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "continuum.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ .name }}
subjects:
  {{- range .accounts }}
  - kind: ServiceAccount
    name: {{ . }}
    namespace: {{ $.root.Release.Namespace }}
  {{- end }}
{{- end }}

{{- /* An account that somebody elsewhere uses, and a token for it that lasts. Of: root, name, tokenSecret. */ -}}
{{- define "continuum.account" -}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "continuum.labels" .root | nindent 4 }}
automountServiceAccountToken: false
{{- if .tokenSecret }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "continuum.labels" .root | nindent 4 }}
  annotations:
    kubernetes.io/service-account.name: {{ .name }}
type: kubernetes.io/service-account-token
{{- end }}
{{- end }}
