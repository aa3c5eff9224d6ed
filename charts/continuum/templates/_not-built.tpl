{{- /* What the process refuses today, as docs/controller.md says, each a line. What is built goes from here. */ -}}
{{- define "continuum.notBuilt" -}}
{{- $c := .Values.continuum -}}
{{- if $c.leaderElection.enabled }}
continuum.leaderElection.enabled is true: an election is not built yet; set it to false
{{- end }}
{{- if $c.metrics.enabled }}
continuum.metrics.enabled is true: metrics are not built yet; set it to false
{{- end }}
{{- if $c.pdmURL }}
continuum.pdmURL is set: publishing records is not built yet; leave it empty
{{- end }}
{{- if $c.pdmTokenSecretRef }}
continuum.pdmTokenSecretRef is set: publishing records is not built yet; leave it null
{{- end }}
{{- end }}
