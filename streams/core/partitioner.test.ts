import { expect } from 'chai'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { murmur2, partitionOf } from './partitioner.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
const byKey = { kind: 'key' } as const

describe('partitioner', () => {
  it('hashes as Kafka does: the vectors of its UtilsTest', () => {
    const vectors = {
      '21': -973_932_308,
      foobar: -790_332_482,
      'a-little-bit-long-string': -985_981_536,
      'a-little-bit-longer-string': -1_486_304_829,
      lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58_897_971,
      abc: 479_470_107,
    }
    for (const [key, hash] of Object.entries(vectors)) expect(murmur2(bytes(key)), key).to.equal(hash)
  })

  it('hashes as the standardized vectors of other clients have it', () => {
    const vectors = {
      my_key_1: 1_322_862_588,
      my_key_2: 201_614_428,
      my_key_3: 273_244_397,
      my_key_4: 1_336_656_080,
    }
    for (const [key, hash] of Object.entries(vectors))
      expect(murmur2(bytes(key)) & 0x7fffffff, key).to.equal(hash)
  })

  it('places every key where the default partitioner of kafkajs places it', () => {
    const place = Partitioners.DefaultPartitioner()
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 1024 }),
        (key, partitions) => {
          const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
            partitionErrorCode: 0,
            partitionId,
            leader: 0,
            replicas: [],
            isr: [],
          }))
          const message = { key: Buffer.from(key), value: null }
          return place({ topic: 't', partitionMetadata, message }) === partitionOf(key, partitions, byKey)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('reads bytes as they are: not as text, and views of larger arrays too', () => {
    const invalid = new Uint8Array([0xff, 0x00, 0xc3])
    const inside = new Uint8Array([1, 2, 0xff, 0x00, 0xc3, 3]).subarray(2, 5)
    expect(murmur2(inside)).to.equal(murmur2(invalid))
    expect(partitionOf(inside, 64, byKey)).to.equal(partitionOf(invalid, 64, byKey))
  })

  it('keeps keys with the same prefix together', () => {
    const by = (separator: string): { readonly kind: 'prefix'; readonly separator: Buffer } => ({
      kind: 'prefix',
      separator: bytes(separator),
    })
    const place = (key: string, separator: string): number => partitionOf(bytes(key), 1000, by(separator))
    expect(place('user/7/name', '/')).to.equal(partitionOf(bytes('user'), 1000, byKey))
    expect(place('user7::name', '::')).to.equal(partitionOf(bytes('user7'), 1000, byKey))
    expect(place('user7:name', '::'), 'half a separator is none').to.equal(
      partitionOf(bytes('user7:name'), 1000, byKey),
    )
    expect(place('plain', '/'), 'no separator: the whole key').to.equal(
      partitionOf(bytes('plain'), 1000, byKey),
    )
    expect(place('/rest', '/'), 'an empty prefix').to.equal(partitionOf(bytes(''), 1000, byKey))
    expect(place('user/', '/')).to.equal(place('user/other', '/'))
  })

  it('knows one partition only where there is one', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (key) => partitionOf(key, 1, byKey) === 0))
  })
})
