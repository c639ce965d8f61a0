{{/*
What the operator may do: the rules of files/rights.json, which `presence-operator self-test` asks the API server for.
Called with {root, of}: `watched` in the namespaces that are looked at, `own` in the release's. Where a rule is `named`, the
names that the values give narrow it.
*/}}
{{- define "presence-operator.rules" -}}
{{- $root := .root -}}
{{- $rbac := $root.Values.rbac -}}
{{- if and $rbac.secretNames (not $rbac.presenceClusters) -}}
{{- fail "rbac.secretNames: name the PresenceClusters in rbac.presenceClusters too, for the Secrets NAME-internal are read as well" -}}
{{- end -}}
{{- $internal := list -}}
{{- range $rbac.presenceClusters }}{{ $internal = append $internal (printf "%s-internal" .) }}{{ end -}}
{{- $read := list -}}
{{- if $rbac.secretNames }}{{ $read = concat $rbac.secretNames $internal | uniq }}{{ end -}}
{{- $names := dict "lease" (list (include "presence-operator.fullname" $root)) "internal" $internal "read" $read -}}
{{- range index ($root.Files.Get "files/rights.json" | fromJson) .of }}
{{- $narrow := list -}}
{{- if .named }}{{ $narrow = index $names .named }}{{ end }}
# {{ .why }}
- apiGroups: {{ toJson .apiGroups }}
  resources: {{ toJson .resources }}
  {{- if $narrow }}
  resourceNames: {{ toJson $narrow }}
  {{- end }}
  verbs: {{ toJson .verbs }}
{{- end }}
{{- end }}
