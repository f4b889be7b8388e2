/** KeyspaceService. The face says which names and settings may be, and what a change means. */
import { randomBytes } from 'node:crypto'
import {
  type CreateRequest,
  type CreateResponse,
  type CutRequest,
  type CutResponse,
  type KeyspaceServiceDeleteRequest,
  type KeyspaceServiceDeleteResponse,
  type KeyspaceServiceDescribeRequest,
  type KeyspaceServiceDescribeResponse,
  KeyspaceServiceService as methods,
  type ListRequest,
  type ListResponse,
  type UpdateRequest,
  type UpdateResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { type HandlersOf, type Serving, type Unary, deadlineOf, unary } from './calls.ts'
import type { keyspaceDefinition } from './definitions.ts'
import { checkCutName, chosenKeyspaces, cutThrough } from './cut.ts'
import { changesOf, keyspaceMessage, settingsOf } from './keyspace-message.ts'
import { positionMessage, tokenMessage } from './messages.ts'
import { forwardedPartitions, isForwarded } from './routing/hop.ts'
import { keyspaceName, refuseField } from './validate.ts'

export function keyspaces(serving: Serving): HandlersOf<typeof keyspaceDefinition> {
  const { node, local = node } = serving

  const create: Unary<CreateRequest, CreateResponse> = async (request) => ({
    keyspace: keyspaceMessage(await node.createKeyspace(request.name, settingsOf(request))),
  })

  const list: Unary<ListRequest, ListResponse> = async () => ({
    keyspaces: node.keyspaces().map(keyspaceMessage),
  })

  const describe: Unary<KeyspaceServiceDescribeRequest, KeyspaceServiceDescribeResponse> = async (
    request,
  ) => ({
    keyspace: keyspaceMessage(node.keyspace(keyspaceName(request.name)).info),
  })

  const update: Unary<UpdateRequest, UpdateResponse> = async (request, call) => {
    const partitions = forwardedPartitions(call)
    const options = { deadline: deadlineOf(call), forwarded: isForwarded(call), partitions }
    const name = keyspaceName(request.name)
    return { keyspace: keyspaceMessage(await node.updateKeyspace(name, changesOf(request), options)) }
  }

  const cut: Unary<CutRequest, CutResponse> = async (request, call) => {
    const name = request.name === '' ? randomBytes(12).toString('hex') : checkCutName(request.name)
    const names = chosenKeyspaces(
      request.keyspaces.map(keyspaceName),
      node.keyspaces().map((info) => info.name),
    )
    const { places, repeated } = await cutThrough(
      names.map((each) => node.keyspace(each)),
      name,
      deadlineOf(call),
    )
    return {
      name,
      token: tokenMessage(node.description.logIdentity, places),
      positions: places.map(({ keyspace, partition, offset, time }) => ({
        position: positionMessage(keyspace, partition, offset),
        timeMs: time ?? 0,
      })),
      repeatedName: repeated,
    }
  }

  const remove: Unary<KeyspaceServiceDeleteRequest, KeyspaceServiceDeleteResponse> = async (
    { name, confirmName },
    call,
  ) => {
    if (confirmName !== name)
      throw refuseField('confirm_name', 'it must say the name again: what is deleted cannot be had back')
    if (isForwarded(call)) await local.forgetKeyspace(name)
    else await node.deleteKeyspace(name)
    return {}
  }

  return {
    create: unary(serving, methods.create, create),
    list: unary(serving, methods.list, list),
    describe: unary(serving, methods.describe, describe),
    update: unary(serving, methods.update, update),
    cut: unary(serving, methods.cut, cut),
    delete: unary(serving, methods.delete, remove),
  }
}
