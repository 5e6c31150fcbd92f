{{- define "agentcorps.labels" -}}
app.kubernetes.io/name: agentcorps
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: agentcorps
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "agentcorps.selector" -}}
app.kubernetes.io/name: agentcorps
app.kubernetes.io/component: operator
{{- end }}
