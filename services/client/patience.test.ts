import { expect } from 'chai'
import { PipelineOperationKind as Kind } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { CLIENT_PATIENCE_LOOKS } from '../../streams/core/limits.ts'
import { Operation } from './operation.ts'
import { Patience } from './patience.ts'

const nobody = (): void => undefined
const operation = (partition: string): Operation =>
  new Operation(Kind.PIPELINE_OPERATION_KIND_PUT, Buffer.from(partition), 'default', 1000, nobody, nobody)
const nameOf = ({ key }: Operation): string | undefined => (key[0] === 0x3f ? undefined : key.toString())

describe('patience with a node', () => {
  const silent = (patience: Patience, sent: readonly Operation[]): string[] =>
    patience.look(sent, nameOf).map(({ key }) => key.toString())

  it('ends for a partition of which nothing is answered, whatever else is, and whatever is sent behind it', () => {
    const patience = new Patience()
    const stuck = [operation('a')]
    for (let look = 0; look < CLIENT_PATIENCE_LOOKS; look += 1) {
      expect(silent(patience, [...stuck, operation('b')])).to.deep.equal([])
      stuck.push(operation('a'))
    }
    expect(silent(patience, [...stuck, operation('b')])).to.deep.equal(['a'])
  })

  it('does not end while answers come, however slowly', () => {
    const patience = new Patience()
    let sent = Array.from({ length: 20 }, () => operation('a'))
    for (let look = 0; look < 20; look += 1) {
      expect(silent(patience, sent)).to.deep.equal([])
      // One of those that waited longest, and one more comes.
      sent = [...sent.slice(1), operation('a')]
    }
  })

  it('begins anew when an operation is sent again, and knows nothing of partitions that have no name', () => {
    const patience = new Patience()
    const [one, nameless] = [operation('a'), operation('?')]
    for (let look = 0; look < 3 * CLIENT_PATIENCE_LOOKS; look += 1) {
      if (look % 2 === 0) one.seen = false
      expect(silent(patience, [one, nameless])).to.deep.equal([])
    }
  })
})
