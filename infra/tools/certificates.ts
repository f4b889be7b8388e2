/** An authority and certificates of it, made by OpenSSL for tests of TLS; they live as long as their folder. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string
  /** A certificate for a name, usable by servers on loopback and by clients. */
  issue(name: string): Promise<{ readonly cert: string; readonly key: string }>
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

/** @throws where there is no openssl */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const openssl = (...args: readonly string[]): Promise<unknown> => run('openssl', args, { cwd: folder })
  await openssl('req', '-x509', ...KEY, '-subj', '/CN=Test authority', '-keyout', 'ca.key', '-out', 'ca.crt')
  return {
    ca: join(folder, 'ca.crt'),
    async issue(name) {
      const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
      const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
      const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', names]
      await openssl('req', '-x509', ...by, ...KEY, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert)
      return { cert, key }
    },
  }
}
