import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import fc from 'fast-check'
import { bytesToText } from './bytes.ts'
import type { ClusterMap, MemberState } from './cluster-map.ts'
import { MAP_BYTES_MAX, MAP_INFLATED_BYTES_MAX, MAP_PLAIN_BYTES, PARTITIONS_MAX } from './limits.ts'
import { decodeMap, decodeMember, encodeMap, encodeMember } from './map-codec.ts'
import { clusterMaps, memberOf, memberStates, replicaOf, topicOf } from './testing/members.ts'
import type { Offset, Partition } from './types.ts'

const json = (content: unknown): Buffer => Buffer.from(JSON.stringify(content))
const byPlace = (state: MemberState): MemberState => ({
  ...state,
  held: [...state.held].sort((a, b) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
  ),
})

const MEMBER: MemberState = memberOf('n1', {
  zone: 'z1',
  topics: [
    {
      ...topicOf('t.default', 2, 3),
      settings: {
        partitionBy: { kind: 'prefix', separator: new Uint8Array([0x2f]) },
        valueBytesMax: 1048576,
        packing: true,
      },
    },
  ],
  held: [
    replicaOf('t.default', 0, { applied: 7 as Offset, leading: true, handedBy: 'n2.1' }),
    replicaOf('t.default', 1, { behind: true }),
  ],
  handovers: [{ topic: 't.default', partition: 0 as Partition, to: 'n2' }],
})
const MEMBER_TEXT =
  '{"v":1,"n":["n1","n1.1","n1:7400","z1",0],"t":[["t.default","i1",2,3,[1048576,1,"Lw=="]]],' +
  '"h":[["t.default",[0,7,3],[1,100,5]]],"b":[["t.default",0,"n2.1"]],"o":[["t.default",0,"n2"]]}'

const MAP: ClusterMap = {
  generation: 9,
  nodes: ['n1', 'n2'].map((nodeId) => ({
    nodeId,
    incarnation: `${nodeId}.1`,
    address: `${nodeId}:7400`,
    zone: '',
    draining: nodeId === 'n2',
  })),
  topics: [
    {
      ...topicOf('t.default', 2, 1),
      placements: [
        { leader: 'n1', replicas: ['n1', 'n2'], warming: [], handedBy: 'n2.1' },
        { leader: undefined, replicas: [], warming: ['n2'] },
      ],
    },
  ],
}
const MAP_TEXT =
  '{"v":1,"g":9,"n":[["n1","n1.1","n1:7400","",0],["n2","n2.1","n2:7400","",1]],' +
  '"t":[["t.default","i1",2,1,null,"0:0.1:;::1",[[0,"n2.1"]]]]}'

describe('the codec of members and maps', () => {
  it('writes text that nodes of other versions know', () => {
    expect(Buffer.from(encodeMember(MEMBER)).toString()).to.equal(MEMBER_TEXT)
    expect(decodeMember(Buffer.from(MEMBER_TEXT))).to.deep.equal(MEMBER)
    expect(Buffer.from(encodeMap(MAP)).toString()).to.equal(MAP_TEXT)
    expect(decodeMap(Buffer.from(MAP_TEXT))).to.deep.equal(MAP)
  })

  it('gives back every member and every map', () => {
    fc.assert(
      fc.property(memberStates, (state) => {
        const found = decodeMember(encodeMember(state))
        expect(found && byPlace(found)).to.deep.equal(byPlace(state))
      }),
    )
    fc.assert(
      fc.property(clusterMaps, (map) => {
        expect(decodeMap(encodeMap(map))).to.deep.equal(map)
      }),
    )
  })

  it('compresses what is large', () => {
    const held = Array.from({ length: 1000 }, (_, at) =>
      replicaOf('t', at, { applied: (at * 7919) as Offset }),
    )
    const state = memberOf('n1', { topics: [topicOf('t', 1000, 3)], held })
    const bytes = encodeMember(state)
    expect(bytes[0]).to.equal(0x1f)
    expect(bytes.length).to.be.lessThan(2 * MAP_PLAIN_BYTES)
    expect(decodeMember(bytes)).to.deep.equal(state)
  })

  it('decodes whatever it is given, to undefined where it is no member and no map', () => {
    const known = [MEMBER_TEXT, MAP_TEXT]
    const damaged = fc
      .tuple(
        fc.constantFrom(...known),
        fc.nat(),
        fc.uint8Array({ minLength: 0, maxLength: 4 }),
        fc.nat(4),
        fc.boolean(),
      )
      .map(([text, at, by, gone, zipped]) => {
        const whole = Buffer.from(text)
        const from = at % whole.length
        const bytes = Buffer.concat([whole.subarray(0, from), by, whole.subarray(from + gone)])
        return zipped ? gzipSync(bytes).subarray(0, at % 3 === 0 ? at % 40 : undefined) : bytes
      })
    const other = fc.json().map((text) => Buffer.from(text))
    const values = fc.object({ key: fc.constantFrom('v', 'n', 't', 'h', 'b', 'o', 'g'), maxDepth: 4 })
    const shaped = values.map((content) => json({ ...content, v: 1 }))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), damaged, other, shaped), (bytes) => {
        for (const decode of [decodeMember, decodeMap])
          expect(() => decode(bytes), bytesToText(bytes)).not.to.throw()
        const member = decodeMember(bytes)
        // What it takes, it can say again.
        if (member !== undefined) expect(decodeMember(encodeMember(member))).to.deep.equal(member)
      }),
      { numRuns: 1000 },
    )
  })

  it('refuses what is past a bound', () => {
    const node = ['n1', 'i', 'a', '', 0]
    const refused: Record<string, unknown> = {
      'another version': { v: 2, n: node },
      'no version': { n: node },
      'no node': { v: 1 },
      'no id': { v: 1, n: ['', 'i', 'a', '', 0] },
      'a long id': { v: 1, n: ['n'.repeat(513), 'i', 'a', '', 0] },
      'too many partitions': { v: 1, n: node, t: [['t', 'i', PARTITIONS_MAX + 1, 3]] },
      'no partition': { v: 1, n: node, t: [['t', 'i', 0, 3]] },
      'no replica': { v: 1, n: node, t: [['t', 'i', 1, 0]] },
      'half a replica': { v: 1, n: node, t: [['t', 'i', 1, 1.5]] },
      'a partition that cannot be': { v: 1, n: node, h: [['t', [PARTITIONS_MAX, 0, 0]]] },
      'an offset that is no number': { v: 1, n: node, h: [['t', [0, '7', 0]]] },
      'an offset past 2^53': { v: 1, n: node, h: [['t', [0, 2 ** 53, 0]]] },
      'an empty separator': { v: 1, n: node, t: [['t', 'i', 1, 1, [1, 1, 'w==']]] },
      'a flag of another kind': { v: 1, n: ['n1', 'i', 'a', '', true] },
    }
    expect(decodeMember(json({ v: 1, n: node }))).to.deep.include({ nodeId: 'n1', held: [] })
    for (const [what, content] of Object.entries(refused))
      expect(decodeMember(json(content)), what).to.equal(undefined)
    const topic = (placements: string): unknown => ({
      v: 1,
      g: 1,
      n: [node],
      t: [['t', 'i', 1, 1, null, placements]],
    })
    expect(decodeMap(json(topic('0:0:')))).to.deep.include({ generation: 1 })
    for (const placements of ['1:0:', '0:0', '0:0:;0:0:', '0:-1:', '0:0.:', 'x:0:', ''])
      expect(decodeMap(json(topic(placements))), placements).to.equal(undefined)
  })

  it('refuses bytes without end, compressed or not', () => {
    const padded = Buffer.from(MEMBER_TEXT + ' '.repeat(MAP_BYTES_MAX))
    expect(decodeMember(padded)).to.equal(undefined)
    expect(decodeMember(gzipSync(padded))).to.deep.equal(MEMBER)
    expect(decodeMember(gzipSync(Buffer.from(MEMBER_TEXT + ' '.repeat(MAP_INFLATED_BYTES_MAX))))).to.equal(
      undefined,
    )
  })

  it('passes over what a newer version added', () => {
    const newer = MEMBER_TEXT.replace('"z1",0]', '"z1",0,"rack"]')
      .replace('[0,7,3]', '[0,7,259,"new"]')
      .replace('"h":', '"x":{"y":1},"h":')
    expect(decodeMember(Buffer.from(newer))).to.deep.equal(MEMBER)
  })
})
