/** The settings of the way to Kafka, held against each other, and as the Kafka client takes them. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { ConnectionSettings } from '../../streams/log/kafka/client.ts'
import type { Config } from './config.ts'

type KafkaConfig = Pick<Config, Extract<keyof Config, `kafka${string}`>>

export function kafkaSecurity(config: KafkaConfig): Pick<ConnectionSettings, 'ssl' | 'sasl'> {
  const { kafkaTlsCa: ca, kafkaTlsCert: cert, kafkaTlsKey: key, kafkaTlsKeyPassphrase: passphrase } = config
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config
  return {
    ...(config.kafkaTls
      ? {
          ssl: {
            ...(ca === undefined ? {} : { ca }),
            ...(cert === undefined ? {} : { cert }),
            ...(key === undefined ? {} : { key }),
            ...(passphrase === undefined ? {} : { passphrase }),
          },
        }
      : {}),
    ...(mechanism === undefined || username === undefined || password === undefined
      ? {}
      : { sasl: { mechanism, username, password } }),
  }
}

/** What is wrong between settings that are right each by itself: a node must never fall back to less than was asked for. */
export function kafkaSecurityProblems(config: KafkaConfig): readonly string[] {
  const problems: string[] = []
  const { kafkaTlsCert: cert, kafkaTlsKey: key, kafkaTlsKeyPassphrase: passphrase } = config
  if (!config.kafkaTls) {
    for (const [name, value] of [
      ['CA', config.kafkaTlsCa],
      ['CERT', cert],
      ['KEY', key],
      ['KEY_PASSPHRASE', passphrase],
    ] as const) {
      if (value !== undefined)
        problems.push(`TIDEMARK_KAFKA_TLS_${name}: is of no use without TIDEMARK_KAFKA_TLS=1`)
    }
  }
  if (cert !== undefined && key === undefined)
    problems.push('TIDEMARK_KAFKA_TLS_KEY: must be set with TIDEMARK_KAFKA_TLS_CERT')
  if (key !== undefined && cert === undefined)
    problems.push('TIDEMARK_KAFKA_TLS_CERT: must be set with TIDEMARK_KAFKA_TLS_KEY')
  if (passphrase !== undefined && key === undefined)
    problems.push('TIDEMARK_KAFKA_TLS_KEY: must be set with TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE')
  if (cert !== undefined && key !== undefined) problems.push(...pairProblems(cert, key, passphrase))

  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = config
  const sasl = { MECHANISM: mechanism, USERNAME: username, PASSWORD: password }
  const given = Object.entries(sasl).filter(([, value]) => value !== undefined)
  for (const [name, value] of Object.entries(sasl)) {
    const [other] = given[0] ?? []
    if (value === undefined && other !== undefined)
      problems.push(`TIDEMARK_KAFKA_SASL_${name}: must be set with TIDEMARK_KAFKA_SASL_${other}`)
  }
  return problems
}

function pairProblems(cert: string, key: string, passphrase: string | undefined): readonly string[] {
  let secret: KeyObject
  try {
    secret = createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) })
  } catch {
    return [
      passphrase === undefined
        ? 'TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE: must be set, the private key is encrypted'
        : 'TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE: is not that of the private key',
    ]
  }
  return new X509Certificate(cert).checkPrivateKey(secret)
    ? []
    : ['TIDEMARK_KAFKA_TLS_KEY: is not the key of TIDEMARK_KAFKA_TLS_CERT']
}
