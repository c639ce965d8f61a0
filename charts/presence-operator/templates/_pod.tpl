{{/* What the operator's pod and that of `helm test` have in common. */}}

{{- define "presence-operator.pod" -}}
serviceAccountName: {{ include "presence-operator.serviceAccountName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "presence-operator.container" -}}
image: {{ include "presence-operator.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  - name: POD_NAMESPACE
    valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
  - name: PRESENCE_OPERATOR_WATCH_NAMESPACES
    value: {{ include "presence-operator.namespaces" . | fromJsonArray | join "," | quote }}
  - name: PRESENCE_OPERATOR_LEASE_NAME
    value: {{ include "presence-operator.fullname" . }}
  - name: PRESENCE_OPERATOR_CONCURRENCY
    value: {{ .Values.concurrency | quote }}
  - name: PRESENCE_OPERATOR_LOG_FORMAT
    value: {{ .Values.log.format }}
  - name: PRESENCE_OPERATOR_LOG
    value: {{ .Values.log.level | quote }}
  # Which pods may speak to those of presence, in the NetworkPolicies that it makes.
  - name: PRESENCE_OPERATOR_POD_LABELS
    value: {{ printf "app.kubernetes.io/name=%s,app.kubernetes.io/instance=%s" (include "presence-operator.name" .) .Release.Name | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
