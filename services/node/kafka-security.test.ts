import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { makeCertificates } from '../../infra/tools/certificates.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { type Environment, readConfig } from './config.ts'
import { kafkaSecurity } from './kafka-security.ts'

const TO_KAFKA = { TIDEMARK_LOG: 'kafka', TIDEMARK_KAFKA_BROKERS: 'a:9092' }

function problemsOf(env: Environment): readonly string[] {
  try {
    readConfig({ ...TO_KAFKA, ...env })
  } catch (caught) {
    if (!(caught instanceof TidemarkError)) throw caught
    return caught.message.split('\n').slice(1)
  }
  return []
}

describe('the security of the way to Kafka', () => {
  let folder: string
  let ca: string
  let user: { readonly cert: string; readonly key: string }
  let other: { readonly cert: string; readonly key: string }
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-tls-'))
    const certificates = await makeCertificates(folder)
    ca = certificates.ca
    user = await certificates.issue('user')
    other = await certificates.issue('other')
  })
  after(() => rm(folder, { recursive: true }))

  it('is none by default', () => {
    expect(kafkaSecurity(readConfig(TO_KAFKA))).to.deep.equal({})
  })

  it('takes TLS with the authorities that Node.js knows, or with those that are named', () => {
    const settings = { ...TO_KAFKA, TIDEMARK_KAFKA_TLS: '1' }
    expect(kafkaSecurity(readConfig(settings))).to.deep.equal({ ssl: {} })
    const pem = readFileSync(ca, 'utf8').trimEnd()
    expect(kafkaSecurity(readConfig({ ...settings, TIDEMARK_KAFKA_TLS_CA_FILE: ca }))).to.deep.equal({
      ssl: { ca: pem },
    })
    // Several authorities in one file, as when they are being replaced; words between them are allowed.
    const both = `the new one\n${pem}\nthe old one\n${pem}`
    expect(problemsOf({ TIDEMARK_KAFKA_TLS: '1', TIDEMARK_KAFKA_TLS_CA: both })).to.deep.equal([])
  })

  it('takes the names of mechanisms as Kafka writes them', () => {
    const sasl = { TIDEMARK_KAFKA_SASL_USERNAME: 'tide', TIDEMARK_KAFKA_SASL_PASSWORD: 'mark' }
    const config = readConfig({ ...TO_KAFKA, ...sasl, TIDEMARK_KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512' })
    expect(kafkaSecurity(config)).to.deep.equal({
      sasl: { mechanism: 'scram-sha-512', username: 'tide', password: 'mark' },
    })
  })

  it('lists everything that does not fit together, and shows no secret', () => {
    const problems = problemsOf({
      TIDEMARK_KAFKA_TLS_CA_FILE: ca,
      TIDEMARK_KAFKA_TLS_KEY_FILE: user.key,
      TIDEMARK_KAFKA_SASL_PASSWORD: 'correct horse',
    })
    expect(problems.map((line) => line.trim().replace(/;$/, ''))).to.deep.equal([
      'TIDEMARK_KAFKA_TLS_CA: is of no use without TIDEMARK_KAFKA_TLS=1',
      'TIDEMARK_KAFKA_TLS_KEY: is of no use without TIDEMARK_KAFKA_TLS=1',
      'TIDEMARK_KAFKA_TLS_CERT: must be set with TIDEMARK_KAFKA_TLS_KEY',
      'TIDEMARK_KAFKA_SASL_MECHANISM: must be set with TIDEMARK_KAFKA_SASL_PASSWORD',
      'TIDEMARK_KAFKA_SASL_USERNAME: must be set with TIDEMARK_KAFKA_SASL_PASSWORD',
    ])
  })

  it('refuses what is no certificate, no key, or not the key of the certificate', () => {
    const tls = { TIDEMARK_KAFKA_TLS: '1' }
    const problems = problemsOf({
      ...tls,
      TIDEMARK_KAFKA_TLS_CA: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
      TIDEMARK_KAFKA_TLS_CERT_FILE: user.key,
      TIDEMARK_KAFKA_TLS_KEY: 'my secret key',
      TIDEMARK_KAFKA_SASL_MECHANISM: 'GSSAPI',
    }).join('\n')
    expect(problems).to.contain('TIDEMARK_KAFKA_TLS_CA: must be certificates in PEM')
    expect(problems).to.contain('TIDEMARK_KAFKA_TLS_CERT: must be certificates in PEM')
    expect(problems).to.contain('TIDEMARK_KAFKA_TLS_KEY: must be a private key in PEM')
    expect(problems).to.contain(
      'TIDEMARK_KAFKA_SASL_MECHANISM: must be plain, scram-sha-256 or scram-sha-512',
    )
    expect(problems).not.to.contain('my secret key')
    expect(
      problemsOf({
        ...tls,
        TIDEMARK_KAFKA_TLS_CERT_FILE: user.cert,
        TIDEMARK_KAFKA_TLS_KEY_FILE: other.key,
      }).join(),
    ).to.contain('TIDEMARK_KAFKA_TLS_KEY: is not the key of TIDEMARK_KAFKA_TLS_CERT')
  })

  it('opens an encrypted key with its passphrase', () => {
    const key = join(folder, 'encrypted.key')
    execFileSync('openssl', ['pkcs8', '-topk8', '-in', user.key, '-out', key, '-passout', 'pass:sesame'])
    const tls = {
      TIDEMARK_KAFKA_TLS: '1',
      TIDEMARK_KAFKA_TLS_CERT_FILE: user.cert,
      TIDEMARK_KAFKA_TLS_KEY_FILE: key,
    }
    expect(problemsOf(tls).join()).to.contain('KEY_PASSPHRASE: must be set, the private key is encrypted')
    expect(problemsOf({ ...tls, TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE: 'open' }).join()).to.contain(
      'KEY_PASSPHRASE: is not that of the private key',
    )
    expect(problemsOf({ ...tls, TIDEMARK_KAFKA_TLS_KEY_PASSPHRASE: 'sesame' })).to.deep.equal([])
  })
})
