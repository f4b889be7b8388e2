/** Versions of Kubernetes, and of what extends it, that the chart is held against. They are Go modules; their API descriptions are used. */

export const KUBERNETES = {
  /** As Chart.yaml says in kubeVersion. */
  oldest: 'v1.31.14',
  newest: 'v1.36.3',
} as const

export const OPERATORS = {
  'github.com/prometheus-operator/prometheus-operator': {
    version: 'v0.85.0',
    definitions: [
      'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
      'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
    ],
  },
  'github.com/kedacore/keda/v2': {
    version: 'v2.21.0',
    definitions: ['config/crd/bases/keda.sh_scaledobjects.yaml'],
  },
} as const
