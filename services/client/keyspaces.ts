/** Creating, listing, changing and deleting keyspaces. All of it may be repeated, so all of it is retried. */
import { randomBytes } from 'node:crypto'
import type {
  CreateResponse,
  CutResponse,
  Keyspace as KeyspaceMessage,
  KeyspaceServiceDeleteResponse,
  KeyspaceServiceDescribeResponse,
  ListResponse,
  UpdateResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { must } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { ask } from './ask.ts'
import { tokenText } from './session-token.ts'
import { toBuffer } from './bytes.ts'
import { checkedWhole } from './checks.ts'
import type { KeyspaceDescription, Keyspaces } from './cluster-types.ts'
import type { Context } from './context.ts'
import { toKeyspaceDescription } from './map-messages.ts'

export const keyspacesOn = (context: Context): Keyspaces => ({
  async create(name, options = {}) {
    const request = {
      name,
      partitions: checkedWhole(options.partitions ?? 0, 'partitions'),
      partitionByPrefix: toBuffer(options.partitionByPrefix ?? '', 'partitionByPrefix'),
      valueBytesMax: checkedWhole(options.valueBytesMax ?? 0, 'valueBytesMax'),
      packingDisabled: options.packingDisabled ?? false,
      replication: checkedWhole(options.replication ?? 0, 'replication'),
      defaultTtlMs: checkedWhole(options.defaultTtlMs ?? 0, 'defaultTtlMs'),
    }
    const { keyspace } = await ask<CreateResponse>(context, asked(options), (link, ...call) =>
      link.keyspaces.create(request, ...call),
    )
    return described(keyspace)
  },

  async list(options = {}) {
    const { keyspaces } = await ask<ListResponse>(context, asked(options), (link, ...call) =>
      link.keyspaces.list({}, ...call),
    )
    return keyspaces.map(toKeyspaceDescription)
  },

  async describe(name, options = {}) {
    const { keyspace } = await ask<KeyspaceServiceDescribeResponse>(
      context,
      asked(options),
      (link, ...call) => link.keyspaces.describe({ name }, ...call),
    )
    return described(keyspace)
  },

  async update(name, options) {
    const whole = (field: 'replication' | 'defaultTtlMs' | 'valueBytesMax'): number | undefined => {
      const given = options[field]
      return given === undefined ? undefined : checkedWhole(given, field)
    }
    const request = {
      name,
      replication: whole('replication'),
      defaultTtlMs: whole('defaultTtlMs'),
      valueBytesMax: whole('valueBytesMax'),
      packingDisabled: options.packingDisabled,
    }
    const { keyspace } = await ask<UpdateResponse>(context, asked(options), (link, ...call) =>
      link.keyspaces.update(request, ...call),
    )
    return described(keyspace)
  },

  async cut({ name = randomBytes(12).toString('hex'), keyspaces = [], ...options } = {}) {
    const request = { name, keyspaces: [...keyspaces] }
    const { token, positions, repeatedName } = await ask<CutResponse>(
      context,
      asked(options),
      (link, ...call) => link.keyspaces.cut(request, ...call),
    )
    return {
      name,
      token: tokenText(must(token, 'the token of the cut')),
      positions: positions.map(({ position, timeMs }) => ({ ...must(position, 'a position'), timeMs })),
      repeatedName,
    }
  },

  async delete(name, confirmName, options = {}) {
    let attempts = 0
    try {
      await ask<KeyspaceServiceDeleteResponse>(context, asked(options), (link, ...call) => {
        attempts += 1
        return link.keyspaces.delete({ name, confirmName }, ...call)
      })
    } catch (error) {
      // An earlier attempt whose answer was lost did it.
      if (attempts === 1 || TidemarkError.from(error).reason !== 'KEYSPACE_NOT_FOUND') throw error
    }
  },
})

const asked = ({ deadlineMs }: { readonly deadlineMs?: number }) => ({ deadlineMs })

const described = (keyspace: KeyspaceMessage | undefined): KeyspaceDescription =>
  toKeyspaceDescription(must(keyspace, 'the keyspace of the answer'))
