{{- /* What the process refuses today, as docs/controller.md says, each a line. What is built goes from here. */ -}}
{{- define "continuum.notBuilt" -}}
{{- $c := .Values.continuum -}}
{{- if $c.pdmURL }}
continuum.pdmURL is set: publishing records is not built yet; leave it empty
{{- end }}
{{- if $c.pdmTokenSecretRef }}
continuum.pdmTokenSecretRef is set: publishing records is not built yet; leave it null
{{- end }}
{{- end }}
