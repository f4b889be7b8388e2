import { expect } from 'chai'
import { judge, type Verdict } from './judgement.ts'

/** Each text is one replica, n1 the own one: `offset:hash` with commas between; '' did not answer. */
function judged(...replicas: readonly string[]): string {
  const names = replicas.map((_, at) => `n${at + 1}`)
  const hashes = new Map(
    replicas.flatMap((text, at) => {
      if (text === '') return []
      const pairs = text.split(',').map((each): [number, string] => {
        const [offset, hash = ''] = each.split(':')
        return [Number(offset), hash]
      })
      return [[names[at] ?? '', new Map(pairs)] as const]
    }),
  )
  return shown(judge({ own: 'n1', replicas: names, hashes }))
}

function shown(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'open':
      return verdict.disputed ? 'open, disputed' : 'open'
    case 'alone':
      return 'alone'
    case 'equal':
      return `equal at ${verdict.at}`
    case 'tied':
      return `tied at ${verdict.at} with ${[...verdict.others].map((each) => each.join('=')).join(' ')}`
    case 'upheld':
      return `upheld at ${verdict.at} against ${verdict.wrong.join(' ')}`
    case 'convicted':
      return `convicted at ${verdict.at} by ${verdict.agreed.join(' ')}`
  }
}

describe('the judgement of replicas', () => {
  const cases: readonly (readonly [what: string, replicas: readonly string[], verdict: string])[] = [
    ['one replica has nobody to compare with', ['8:x'], 'alone'],
    ['two that agree', ['8:x', '8:x'], 'equal at 8'],
    ['two that differ: neither is believed', ['8:x', '8:y'], 'tied at 8 with n2=y'],
    ['two of which one does not answer', ['8:x', ''], 'open'],
    ['two that are at different offsets', ['8:x', '9:y'], 'open'],
    ['three that agree', ['8:x', '8:x', '8:x'], 'equal at 8'],
    ['three: the own one is wrong', ['8:y', '8:x', '8:x'], 'convicted at 8 by n2 n3'],
    ['three: another is wrong, whoever leads', ['8:x', '8:y', '8:x'], 'upheld at 8 against n2'],
    ['three, all different', ['8:x', '8:y', '8:z'], 'tied at 8 with n2=y n3=z'],
    ['three, two agree, one is silent', ['8:x', '8:x', ''], 'equal at 8'],
    ['three, two differ, one is silent: it will decide', ['8:x', '8:y', ''], 'open, disputed'],
    ['three, two differ, one is behind: it will decide', ['8:x', '8:y', '4:w'], 'open, disputed'],
    ['three of which nobody else answers', ['8:x', '', ''], 'open'],
    ['four, two and two', ['8:x', '8:x', '8:y', '8:y'], 'tied at 8 with n2=x n3=y n4=y'],
    ['four, three against the own one', ['8:y', '8:x', '8:x', '8:x'], 'convicted at 8 by n2 n3 n4'],
    ['five: two that hear each other do not outvote', ['8:y', '8:x', '8:x', '', ''], 'open, disputed'],
    [
      'five, three against one, one is silent',
      ['8:y', '8:x', '8:x', '8:x', ''],
      'convicted at 8 by n2 n3 n4',
    ],
    ['five, three against two', ['8:x', '8:y', '8:y', '8:x', '8:x'], 'upheld at 8 against n2 n3'],
    ['five, two, two and one', ['8:x', '8:x', '8:y', '8:y', '8:z'], 'tied at 8 with n2=x n3=y n4=y n5=z'],
    ['a newer offset that all share counts', ['4:a,8:x', '4:a,8:x'], 'equal at 8'],
    [
      'an older offset tells what the newest cannot',
      ['4:a,8:x', '4:b,9:q', '4:b'],
      'convicted at 4 by n2 n3',
    ],
    ['being equal before settles no dispute', ['4:a,8:x', '4:a,8:y', '4:a'], 'open, disputed'],
    ['nor does being equal after a mark that lied', ['4:a,8:x', '4:b,8:x'], 'tied at 4 with n2=b'],
    ['nothing is known of the own one', ['', '8:x', '8:x'], 'open'],
  ]
  for (const [what, replicas, verdict] of cases)
    it(`${what}: ${verdict}`, () => {
      expect(judged(...replicas)).to.equal(verdict)
    })

  it('convicts nobody who is with the majority, and all who are not, whatever the votes are', () => {
    const hashes = ['x', 'y', 'z', '']
    for (let nodes = 1; nodes <= 5; nodes++)
      for (let code = 0; code < 4 ** nodes; code++) {
        const votes = Array.from({ length: nodes }, (_, at) => hashes[Math.floor(code / 4 ** at) % 4] ?? '')
        const count = (hash: string): number => votes.filter((vote) => vote === hash).length
        const own = votes[0] ?? ''
        const verdict = judged(...votes.map((vote) => (vote === '' ? '' : `8:${vote}`)))
        const right = hashes.find((hash) => hash !== '' && count(hash) > nodes / 2)
        const wrong = own !== '' && nodes > 1 && right !== undefined && own !== right
        expect(verdict.startsWith('convicted'), `${votes.join()}: ${verdict}`).to.equal(wrong)
      }
  })
})
