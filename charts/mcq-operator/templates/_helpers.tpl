{{- /* The reference of an image, from (dict "image" .Values.image "version" .Chart.AppVersion). */ -}}
{{- define "mcq-operator.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end -}}
