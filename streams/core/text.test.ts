import { expect } from 'chai'
import fc from 'fast-check'
import { fitsInt64, readInt64, readText, readUnsigned, splitRequestId } from './text.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')

describe('text', () => {
  it('reads unsigned numbers in their one spelling', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (value) => readUnsigned(bytes(String(value))) === value))
    const wrong = [
      '',
      '-1',
      '+1',
      '01',
      '00',
      '1.0',
      '1e3',
      ' 1',
      '1 ',
      '0x1',
      '９',
      '9007199254740992',
      '99999999999999999',
      'NaN',
    ]
    for (const text of wrong) expect(readUnsigned(bytes(text)), text).to.equal(undefined)
    expect(readUnsigned(bytes('0'))).to.equal(0)
    expect(readUnsigned(bytes('9007199254740991'))).to.equal(Number.MAX_SAFE_INTEGER)
  })

  it('reads signed 64-bit numbers in their one spelling', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (value) => readInt64(bytes(String(value))) === value,
      ),
    )
    const wrong = [
      '',
      '-',
      '-0',
      '+1',
      '007',
      '1.5',
      '1n',
      '--1',
      ' 1',
      '1\n',
      '9223372036854775808',
      '-9223372036854775809',
      '1'.repeat(21),
    ]
    for (const text of wrong) expect(readInt64(bytes(text)), text).to.equal(undefined)
    expect(readInt64(bytes('-9223372036854775808'))).to.equal(-(2n ** 63n))
    expect([2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n].map(fitsInt64)).to.deep.equal([
      true,
      false,
      true,
      false,
    ])
  })

  it('reads UTF-8 and nothing else', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => readText(bytes(text)) === text))
    const wrong = [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]]
    for (const list of wrong) expect(readText(Uint8Array.from(list))).to.equal(undefined)
    expect(readText(bytes('\ufeffmark')), 'a byte order mark is text like any other').to.equal('\ufeffmark')
  })

  const split = {
    'w1/0': ['sw1', 0],
    'a/b/12': ['sa/b', 12],
    'a/9007199254740991': ['sa', Number.MAX_SAFE_INTEGER],
    plain: ['iplain', 0],
    'a/': ['ia/', 0],
    '/1': ['i/1', 0],
    'a/01': ['ia/01', 0],
    'a/-1': ['ia/-1', 0],
    'a/9007199254740992': ['ia/9007199254740992', 0],
    'a/12345678901234567': ['ia/12345678901234567', 0],
    'a/1x': ['ia/1x', 0],
    'a/１': ['ia/１', 0],
  } as const
  for (const [id, [session, sequence]] of Object.entries(split))
    it(`takes the request id ${JSON.stringify(id)} apart`, () => {
      expect(splitRequestId(id)).to.deep.equal({ session, sequence })
    })

  it('gives different request ids different places', () => {
    const id = fc.oneof(
      fc.stringMatching(/^[as/]{1,3}\/?[0-9]{0,2}$/),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
    )
    fc.assert(
      fc.property(id, id, (left, right) => {
        fc.pre(left !== right)
        expect(splitRequestId(left)).to.not.deep.equal(splitRequestId(right))
      }),
      { numRuns: 2000 },
    )
  })
})
