/**
 * What a client has seen: for each partition the highest applied offset that any answer showed. A read with it shows at
 * least that (SESSION). It only moves forward. As text it is the base64url of a `tidemark.v1.Token`, for every keyspace
 * that the client touched, so that it can travel in a header or a cookie to another client.
 */
import { Token } from '../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { PARTITIONS_MAX } from '../../streams/core/limits.ts'

/** A place in the log, for instance made from the ack of a Kafka producer. */
export interface Position {
  readonly keyspace: string
  readonly partition: number
  readonly offset: number
}

export class SessionToken {
  #logIdentity = ''
  readonly #offsets = new Map<string, Map<number, number>>()
  readonly #messages = new Map<string, Token>()

  /** Identity of the log, empty until a node told it. */
  get logIdentity(): string {
    return this.#logIdentity
  }

  /** What a node says its log is. Positions of another log stay: the node refuses them, and the caller learns it. */
  met(logIdentity: string): void {
    if (this.#logIdentity === '') this.#logIdentity = logIdentity
  }

  advance(keyspace: string, partition: number, offset: number): void {
    let offsets = this.#offsets.get(keyspace)
    if (offsets === undefined) this.#offsets.set(keyspace, (offsets = new Map<number, number>()))
    const known = offsets.get(partition)
    if (known !== undefined && known >= offset) return
    offsets.set(partition, offset)
    this.#messages.delete(keyspace)
  }

  advanceAll(token: Token | undefined): void {
    for (const position of token?.positions ?? []) {
      this.advance(position.keyspace, position.partition, position.offset)
    }
  }

  /** For a request on one keyspace; undefined while nothing of it was seen. */
  of(keyspace: string): Token | undefined {
    const offsets = this.#offsets.get(keyspace)
    if (offsets === undefined) return undefined
    let message = this.#messages.get(keyspace)
    if (message === undefined) {
      const positions = Array.from(offsets, ([partition, offset]) => ({ keyspace, partition, offset }))
      message = { logIdentity: this.#logIdentity, positions }
      this.#messages.set(keyspace, message)
    }
    return message
  }

  toString(): string {
    const positions = [...this.#offsets.keys()].flatMap((keyspace) => this.of(keyspace)?.positions ?? [])
    return tokenText({ logIdentity: this.#logIdentity, positions })
  }

  /** Takes over what another has seen. @throws TOKEN_INVALID when it is of another log, or no token */
  observe(seen: string | Position): void {
    if (typeof seen !== 'string') {
      checkPosition(seen)
      return this.advance(seen.keyspace, seen.partition, seen.offset)
    }
    const token = parseToken(seen)
    if (token.logIdentity !== '' && this.#logIdentity !== '' && token.logIdentity !== this.#logIdentity) {
      throw new TidemarkError(
        'TOKEN_INVALID',
        `the token is of the log ${token.logIdentity}, this cluster's is ${this.#logIdentity}`,
      )
    }
    this.met(token.logIdentity)
    this.advanceAll(token)
  }
}

export const tokenText = (token: Token): string =>
  Buffer.from(Token.encode(token).finish()).toString('base64url')

export function parseToken(text: string): Token {
  try {
    if (!/^[\w-]*$/.test(text)) throw new Error('it is not base64url')
    const token = Token.decode(Buffer.from(text, 'base64url'))
    token.positions.forEach(checkPosition)
    if (text !== '' && token.logIdentity === '' && token.positions.length === 0)
      throw new Error('it holds nothing')
    return token
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new TidemarkError('TOKEN_INVALID', `this is no token of Tidemark: ${why}`, { cause: error })
  }
}

function checkPosition({ partition, offset }: Position): void {
  const valid = Number.isSafeInteger(partition) && partition >= 0 && partition < PARTITIONS_MAX
  if (!valid || !Number.isSafeInteger(offset) || offset < 0) {
    throw new TidemarkError('TOKEN_INVALID', `there is no position ${partition}:${offset}`)
  }
}
