{{- define "orrery.labels" -}}
app.kubernetes.io/name: orrery
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "orrery.selector" -}}
app.kubernetes.io/name: orrery
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "orrery.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- /* Every pod that may coordinate: whoever of them is there answers, and all of a cluster may start at once. */}}
{{- define "orrery.join" -}}
{{- $addresses := list }}
{{- range $index := until (int .Values.roles.coordinator.replicas) }}
{{- $addresses = append $addresses (printf "orrery-coordinator-%d.orrery-peers:%d" $index (int $.Values.ports.cluster)) }}
{{- end }}
{{- toJson $addresses }}
{{- end }}
