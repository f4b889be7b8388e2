import { expect } from 'chai'
import { WireReader, WireWriter } from './wire.ts'

describe('the wire', () => {
  it('reads what was written, wherever the buffer had to grow', () => {
    for (let room = 1; room <= 64; room++) {
      const uuid = '00112233-4455-6677-8899-aabbccddeeff'
      const { written } = new WireWriter(room)
        .int8(-3)
        .unsignedVarint(0)
        .unsignedVarint(300)
        .unsignedVarint(2 ** 32 - 1)
        .int16(-2)
        .string('tür')
        .string(null)
        .int32(1 << 30)
        .bytes(Uint8Array.of(1, 2, 3))
        .int64(-(2 ** 40))
        .uuid(uuid)
        .tags()
      const reader = new WireReader(written)
      expect(reader.int8()).to.equal(-3)
      expect([reader.unsignedVarint(), reader.unsignedVarint(), reader.unsignedVarint()]).to.deep.equal([
        0,
        300,
        2 ** 32 - 1,
      ])
      expect(reader.int16()).to.equal(-2)
      expect([reader.string(), reader.string()]).to.deep.equal(['tür', null])
      expect(reader.int32()).to.equal(1 << 30)
      expect([...reader.bytes()]).to.deep.equal([1, 2, 3])
      expect(reader.int64()).to.equal(-(2 ** 40))
      expect(reader.uuid()).to.equal(uuid)
      reader.tags()
      expect(reader.position).to.equal(written.length)
    }
  })

  it('reads a list as it was written', () => {
    const writer = new WireWriter(1)
    const items = Array.from({ length: 300 }, (_, n) => `item ${n}`)
    writer.array(items, (item) => writer.string(item).tags())
    const read = new WireReader(writer.written).array((reader) => {
      const item = reader.string()
      reader.tags()
      return item
    })
    expect(read).to.deep.equal(items)
  })

  it('refuses to read past the end', () => {
    const { written } = new WireWriter().bytes(Uint8Array.of(1, 2, 3))
    expect(() => new WireReader(written.subarray(0, 3)).bytes()).to.throw(RangeError)
    expect(() => new WireReader(Buffer.alloc(3)).int32()).to.throw(RangeError)
    expect(() => new WireReader(Buffer.alloc(8, 0xff)).unsignedVarint()).to.throw(RangeError)
  })
})
