{{- define "agentcorps.labels" -}}
app.kubernetes.io/name: agentcorps
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: agentcorps
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* What the operator may do with Secrets for Tasks: without the policies only labelled ones are read. */}}
{{- define "agentcorps.secrets" -}}
{{- if not .Values.secrets.enabled }}Off
{{- else if or .Values.secrets.requireLabel (not .Values.policies.install) }}Labelled
{{- else }}Any
{{- end }}
{{- end }}

{{- define "agentcorps.selector" -}}
app.kubernetes.io/name: agentcorps
app.kubernetes.io/component: operator
{{- end }}
