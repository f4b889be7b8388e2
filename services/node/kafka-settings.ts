/** The settings of the way to Kafka: its brokers, TLS, and who the node is to them. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { parseAddress } from './address.ts'
import { flag, setting } from './setting.ts'

const brokers = z.string().transform((text, context): readonly string[] => {
  const list = text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  for (const each of list) {
    if (parseAddress(each) === undefined)
      context.addIssue(`has ${JSON.stringify(each)}, which is not host:port`)
  }
  return list
})

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

const isCertificate = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

const certificates = z.string().refine((pem) => {
  const found = pem.match(CERTIFICATE) ?? []
  return found.length > 0 && found.every(isCertificate)
}, 'must be certificates in PEM (-----BEGIN CERTIFICATE-----)')

/** One that has a passphrase can only be tried together with it: kafka-security.ts. */
const privateKey = z.string().refine((pem) => {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) return true
  try {
    createPrivateKey(pem)
    return true
  } catch {
    return false
  }
}, 'must be a private key in PEM (-----BEGIN PRIVATE KEY-----)')

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const

export const KAFKA_SETTINGS = {
  kafkaBrokers: setting(
    'TIDEMARK_KAFKA_BROKERS',
    'host:port,…',
    brokers,
    '',
    'some brokers of the Kafka cluster; the others are found through them; needed with TIDEMARK_LOG=kafka',
    { example: 'kafka-0:9092,kafka-1:9092' },
  ),
  kafkaTls: setting(
    'TIDEMARK_KAFKA_TLS',
    '0 | 1',
    flag,
    '0',
    'encrypts the connections to the brokers, whose certificates must be of their names and of a known authority',
    { example: '1' },
  ),
  kafkaTlsCa: setting(
    'TIDEMARK_KAFKA_TLS_CA',
    'PEM',
    certificates,
    undefined,
    'the authorities that the certificates of the brokers may be of; unset: those that Node.js knows',
    { example: 'TIDEMARK_KAFKA_TLS_CA_FILE=/etc/kafka/ca.crt' },
  ),
  kafkaTlsCert: setting(
    'TIDEMARK_KAFKA_TLS_CERT',
    'PEM',
    certificates,
    undefined,
    'the certificate of this node, where the brokers ask for one (mutual TLS)',
    { example: 'TIDEMARK_KAFKA_TLS_CERT_FILE=/etc/kafka/user.crt' },
  ),
  kafkaTlsKey: setting(
    'TIDEMARK_KAFKA_TLS_KEY',
    'PEM',
    privateKey,
    undefined,
    'the private key of that certificate',
    { secret: true, example: 'TIDEMARK_KAFKA_TLS_KEY_FILE=/etc/kafka/user.key' },
  ),
  kafkaTlsKeyPassphrase: setting(
    'TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE',
    'text',
    z.string(),
    undefined,
    'what the private key is encrypted with',
    { secret: true, example: 'TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE_FILE=/etc/kafka/passphrase' },
  ),
  kafkaSaslMechanism: setting(
    'TIDEMARK_KAFKA_SASL_MECHANISM',
    MECHANISMS.join(' | '),
    z
      .string()
      .transform((text) => text.toLowerCase())
      .pipe(z.enum(MECHANISMS, `must be ${MECHANISMS.slice(0, -1).join(', ')} or ${MECHANISMS.at(-1)}`)),
    undefined,
    'how the node says to the brokers who it is; plain shows them the password, so use it with TLS only',
    { example: 'scram-sha-512' },
  ),
  kafkaSaslUsername: setting(
    'TIDEMARK_KAFKA_SASL_USERNAME',
    'text',
    z.string(),
    undefined,
    'the name of the node there',
    { example: 'tidemark' },
  ),
  kafkaSaslPassword: setting('TIDEMARK_KAFKA_SASL_PASSWORD', 'text', z.string(), undefined, 'its password', {
    secret: true,
    example: 'TIDEMARK_KAFKA_SASL_PASSWORD_FILE=/etc/kafka/password',
  }),
} as const
